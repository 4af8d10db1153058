// @googleapis/healthcare with an access token, or with none. Prints the dataset, or the error.
const {auth, healthcare} = require('@googleapis/healthcare');

const [rootUrl, dataset, token] = process.argv.slice(2);
const options = {version: 'v1', rootUrl};
if (token) {
  options.auth = new auth.OAuth2();
  options.auth.setCredentials({access_token: token});
}

healthcare(options)
  .projects.locations.datasets.get({name: dataset})
  .then(({data}) => console.log(JSON.stringify(data)))
  .catch(({status, message}) => console.log(JSON.stringify({status, message})));
