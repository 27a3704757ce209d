//! The table of DynamoDB in which Terraform locks its state with `dynamodb_table`. One item of it is read and nothing
//! written, so a signed request is enough: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetItem.html>.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::primitives::SdkBody;
use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use crate::answers::innermost;
use crate::aws::{ConnectError, connector};
use crate::conditional::Tries;
use crate::settings::Settings;
use crate::store::StoreError;

/// Credentials that end sooner are asked for anew.
const LEAST: Duration = Duration::from_secs(60);
/// What a body of such a request is.
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const OPERATION: &str = "DynamoDB_20120810.GetItem";
/// Failures with status 400 that pass by themselves.
const PASSING: [&str; 5] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "LimitExceededException",
    "TransactionInProgressException",
];

/// A table.
pub(crate) struct LockTable {
    name: String,
    endpoint: String,
    region: String,
    provider: Option<SharedCredentialsProvider>,
    known: Mutex<Option<Credentials>>,
    connector: Connector,
}

impl LockTable {
    /// The table that the settings name; `None` when they name none. Nothing is sent.
    ///
    /// # Errors
    /// When certificates or the proxy cannot be used.
    pub(crate) async fn of(
        settings: &Settings,
        shared: &SdkConfig,
    ) -> Result<Option<LockTable>, ConnectError> {
        let Some(name) = settings.lock_table.clone() else { return Ok(None) };
        let endpoint = match &settings.dynamodb_endpoint {
            Some(endpoint) => endpoint.clone(),
            None => endpoint_of_aws(settings, shared).await.map_err(ConnectError::NoEndpoint)?,
        };
        Ok(Some(LockTable {
            name,
            connector: connector(settings, &endpoint)?,
            endpoint,
            region: settings.region.clone(),
            provider: shared.credentials_provider(),
            known: Mutex::default(),
        }))
    }

    /// What the table is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the holder of the lock `id` wrote of itself, if it is held; asked again, as often as `tries` has it, when there is
    /// no answer.
    ///
    /// # Errors
    /// When the table cannot be asked, or is not there: it may be somewhere else, with a lock in it.
    pub(crate) async fn read(&self, id: &str, mut tries: Tries) -> Result<Option<String>, StoreError> {
        loop {
            let result = self.ask(id).await;
            match &result {
                Ok(found) => tracing::debug!("GetItem {id} in {}: held: {}", self.name, found.is_some()),
                Err(error) => tracing::debug!("GetItem {id} in {}: {error}", self.name),
            }
            match result {
                Err(StoreError::Unclear(_)) if tries.next().await => {}
                result => return result,
            }
        }
    }

    async fn ask(&self, id: &str) -> Result<Option<String>, StoreError> {
        let query =
            json!({"TableName": self.name, "Key": {"LockID": {"S": id}}, "ConsistentRead": true}).to_string();
        let request = self.signed(query).await.map_err(|reason| StoreError::Refused(self.told(&reason)))?;
        let unclear = |reason: &str| StoreError::Unclear(self.told(reason));
        let answer = self.connector.call(request).await.map_err(|error| {
            unclear(&if error.is_timeout() { "no answer in time".to_string() } else { innermost(&error) })
        })?;
        let status = answer.status().as_u16();
        let body = aws_sdk_s3::primitives::ByteStream::new(answer.into_body()).collect();
        let body = tokio::time::timeout(LEAST, body).await.map_err(|_| unclear("the answer was cut off"))?;
        let body = body.map_err(|error| unclear(&innermost(&error)))?;
        let answer: Option<Json> = serde_json::from_slice(&body.into_bytes()).ok();
        match answer.filter(Json::is_object) {
            Some(answer) if status == 200 => {
                Ok(answer.get("Item").map(|item| item["Info"]["S"].as_str().unwrap_or_default().to_string()))
            }
            answer => Err(self.judge(status, &answer.unwrap_or_default())),
        }
    }

    fn judge(&self, status: u16, answer: &Json) -> StoreError {
        let code = answer["__type"].as_str().and_then(|kind| kind.rsplit('#').next()).unwrap_or("no code");
        let message = answer["message"].as_str().or_else(|| answer["Message"].as_str()).unwrap_or_default();
        let text = self.told(&format!("{status} {code}: {message}"));
        if status >= 500 || status == 429 || PASSING.contains(&code) {
            StoreError::Unclear(text)
        } else {
            StoreError::Refused(text)
        }
    }

    fn told(&self, reason: &str) -> String {
        format!("the table {} at {}: {}", self.name, self.endpoint, reason.trim_end_matches([':', ' ']))
    }

    async fn signed(&self, body: String) -> Result<HttpRequest, String> {
        let identity = self.credentials().await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("dynamodb")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", OPERATION)];
        let signable = SignableRequest::new(
            "POST",
            &self.endpoint,
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let signed = signable.and_then(|signable| sign(signable, &parameters));
        let (signature, _) = signed.map_err(|error| innermost(&error))?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").map_err(|error| error.to_string())?;
        request.set_uri(&*self.endpoint).map_err(|error| error.to_string())?;
        for (name, value) in headers.into_iter().chain(signature.headers()) {
            request
                .headers_mut()
                .try_insert(name.to_string(), value.to_string())
                .map_err(|error| error.to_string())?;
        }
        Ok(request)
    }

    async fn credentials(&self) -> Result<Credentials, String> {
        let mut known = self.known.lock().await;
        let lasts =
            |found: &&Credentials| found.expiry().is_none_or(|until| until > SystemTime::now() + LEAST);
        if let Some(found) = known.as_ref().filter(lasts) {
            return Ok(found.clone());
        }
        let provider = self.provider.as_ref().ok_or("no credentials were found")?;
        let found = provider.provide_credentials().await.map_err(|error| innermost(&error))?;
        Ok(known.insert(found).clone())
    }
}

/// Where AWS has it. Endpoints of STS in a region differ by the service's name alone, in every partition.
async fn endpoint_of_aws(settings: &Settings, shared: &SdkConfig) -> Result<String, String> {
    let place = Params::builder()
        .region(&settings.region)
        .use_fips(shared.use_fips().unwrap_or_default())
        .use_dual_stack(shared.use_dual_stack().unwrap_or_default())
        .build()
        .map_err(|error| error.to_string())?;
    let found = DefaultResolver::new().resolve_endpoint(&place).await.map_err(|error| error.to_string())?;
    Ok(found.url().replacen("//sts", "//dynamodb", 1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_config::Region;
    use pve_model::Value;

    use super::*;

    async fn endpoint(region: &str, fips: bool, dual_stack: bool) -> String {
        let text = |(name, text): (&'static str, &str)| (name.into(), Value::string(text));
        let arguments = [("bucket", "b"), ("key", "k"), ("region", region)].map(text);
        let settings = Settings::from_arguments(&BTreeMap::from(arguments), &|_| None).unwrap();
        let mut shared = SdkConfig::builder().region(Region::new(region.to_string()));
        shared.set_use_fips(Some(fips));
        shared.set_use_dual_stack(Some(dual_stack));
        endpoint_of_aws(&settings, &shared.build()).await.unwrap()
    }

    /// As AWS documents them: <https://docs.aws.amazon.com/general/latest/gr/ddb.html>.
    #[tokio::test]
    async fn the_endpoint_of_aws_is_that_of_the_region() {
        for (region, fips, dual_stack, expected) in [
            ("us-east-1", false, false, "https://dynamodb.us-east-1.amazonaws.com"),
            ("eu-central-1", false, true, "https://dynamodb.eu-central-1.api.aws"),
            ("us-east-2", true, false, "https://dynamodb-fips.us-east-2.amazonaws.com"),
            ("us-gov-west-1", true, false, "https://dynamodb.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", false, false, "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        ] {
            assert_eq!(endpoint(region, fips, dual_stack).await, expected);
        }
    }
}
