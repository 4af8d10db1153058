// @googleapis/healthcare, unmodified; only its rootUrl is set. Prints one JSON object.
const {healthcare} = require('@googleapis/healthcare');

const [rootUrl, version, store, bucket, out] = process.argv.slice(2);
const client = healthcare({version, rootUrl});
const {dicomStores, operations} = client.projects.locations.datasets;

async function finished(started) {
  for (;;) {
    const {data} = await operations.get({name: started.data.name});
    if (data.done) return data;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

async function refused(call) {
  try {
    await call;
  } catch (error) {
    return {code: error.code, status: error.status, message: error.message};
  }
  return null;
}

async function main() {
  const body = name => ({requestBody: {gcsSource: {uri: `gs://${bucket}/${name}`}}});
  const good = await finished(await dicomStores.import({name: store, ...body('good/**.dcm')}));
  const bad = await finished(await dicomStores.import({name: store, ...body('bad/*')}));
  const sample = bad.error.details[0]['sampleErrors'][0];
  const exported = await finished(
    await dicomStores.export({name: store, requestBody: {gcsDestination: {uriPrefix: `gs://${out}/d`}}})
  );
  const patched = await dicomStores.patch({name: store, updateMask: 'labels', requestBody: {labels: {k: 'v'}}});
  const listed = await operations.list({name: store.split('/dicomStores/')[0], pageSize: 1});
  const wrong = await refused(dicomStores.import({name: store, ...body('**/x')}));
  const missing = await refused(dicomStores.get({name: `${store}-missing`}));
  console.log(JSON.stringify({good, bad, sample, exported, patched: patched.data, listed: listed.data, wrong, missing}));
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
