// dicomweb-client and dcmjs out of the npm registry, unmodified, in a page. Tests call these functions by their names.
// ArrayBuffers go from and to Python as {base64: TEXT}.

const toBase64 = buffer => btoa(Array.from(new Uint8Array(buffer), byte => String.fromCharCode(byte)).join(''));
const fromBase64 = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;

function mapValues(value, change) {
  const changed = change(value);
  if (changed !== undefined) return changed;
  if (Array.isArray(value)) return value.map(item => mapValues(item, change));
  if (value === null || typeof value !== 'object') return value;
  const pairs = Object.entries(value).filter(([key]) => !key.startsWith('_')); // what dcmjs keeps for itself
  return Object.fromEntries(pairs.map(([key, item]) => [key, mapValues(item, change)]));
}

const unpack = value => mapValues(value, item => (item?.base64 === undefined ? undefined : fromBase64(item.base64)));

function pack(value) {
  return mapValues(value, item => {
    if (item instanceof ArrayBuffer) return {base64: toBase64(item)};
    return ArrayBuffer.isView(item) ? {base64: toBase64(item.slice().buffer)} : undefined;
  });
}

/** One call of DICOMwebClient; {result: …}, or {status: …} of an answer that is an error, 0 where there is none. */
async function call({url, token, method, options}) {
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  const client = new DICOMwebClient.api.DICOMwebClient({url, headers, verbose: false});
  try {
    return {result: pack(await client[method](unpack(options)))};
  } catch (error) {
    return {status: error.status ?? error.request?.status ?? 0};
  }
}

const {DicomMetaDictionary, DicomMessage, datasetToDict} = dcmjs.data;

/** Metadata of a server as a natural data set, and back: dcmjs writes all numbers as text then, so they are in sent. */
function thereAndBack(metadata) {
  const natural = DicomMetaDictionary.naturalizeDataset(metadata);
  return {
    natural: pack({...natural}),
    back: pack(DicomMetaDictionary.denaturalizeDataset(natural)),
    sent: mapValues(metadata, value => (typeof value === 'number' ? String(value) : undefined)),
  };
}

/** A file of a natural data set, in Explicit VR Little Endian. */
function write(natural) {
  const dataset = unpack(natural);
  dataset._vrMap = {PixelData: 'OW'};
  dataset._meta = {
    FileMetaInformationVersion: {vr: 'OB', Value: [new Uint8Array([0, 1]).buffer]},
    MediaStorageSOPClassUID: {vr: 'UI', Value: [dataset.SOPClassUID]},
    MediaStorageSOPInstanceUID: {vr: 'UI', Value: [dataset.SOPInstanceUID]},
    TransferSyntaxUID: {vr: 'UI', Value: ['1.2.840.10008.1.2.1']},
    ImplementationClassUID: {vr: 'UI', Value: ['1.2.826.0.1.3680043.10.511.5']},
  };
  return pack(datasetToDict(dataset).write());
}

/** The natural data set of a file. */
function read(file) {
  return pack({...DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(unpack(file)).dict)});
}
