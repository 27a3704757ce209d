//! Endpoints that a profile of the AWS tools names: read beforehand, so that the place of a log is known by them.

use std::borrow::Cow;
use std::sync::Arc;

use aws_config::profile::ProfileFileLoadError;
use aws_runtime::env_config::EnvConfigValue;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_types::os_shim_internal::{Env, Fs};

use crate::aws::profile_files;
use crate::settings::{Settings, SettingsError, checked_endpoint};

impl Settings {
    /// Fills in endpoints that neither the block nor the environment gives, as the AWS tools find them: in the `services`
    /// section of the profile, then in the profile. A file that is not there is told of when the store is asked.
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
    ///
    /// # Errors
    /// When an endpoint that is named there cannot be used, or a file cannot be read.
    pub fn with_profile(mut self) -> Result<Settings, SettingsError> {
        let table = self.lock_table.is_some() && self.dynamodb_endpoint.is_none();
        if self.endpoint.is_some() && !table {
            return Ok(self);
        }
        let (files, environment) = (profile_files(&self).unwrap_or_default(), Env::real());
        let disk = Fs::real();
        let profile = self.profile.clone().map(Cow::from);
        // Nothing in it waits: files are read as they are.
        let read = aws_config::profile::load(&disk, &environment, &files, profile);
        let sections = match futures::executor::block_on(read) {
            Ok(sections) => sections,
            Err(error) if is_absent(&error) => return Ok(self),
            // Without what it may say the log would be looked for at AWS.
            Err(error) => {
                let reason = format!("cannot be looked up: {}", DisplayErrorContext(&error));
                return Err(SettingsError::Invalid { argument: "profile".into(), reason });
            }
        };
        let ignored = EnvConfigValue::new()
            .env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .profile("ignore_configured_endpoint_urls");
        let ignored = ignored.load(&environment, Some(&sections));
        if ignored.is_some_and(|(text, _)| text.eq_ignore_ascii_case("true")) {
            return Ok(self);
        }
        let endpoint = |service: &str| {
            let asked = EnvConfigValue::new().profile("endpoint_url").service_id(service);
            let found = asked.load(&environment, Some(&sections)).map(|(url, _)| url.into_owned());
            found.map(|url| checked_endpoint("endpoint_url of the profile", &url)).transpose()
        };
        if self.endpoint.is_none() {
            self.endpoint = endpoint("s3")?;
        }
        if table {
            self.dynamodb_endpoint = endpoint("dynamodb")?;
        }
        Ok(self)
    }
}

/// Whether a file is not there, rather than not readable.
fn is_absent(error: &ProfileFileLoadError) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<Arc<std::io::Error>>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
}
