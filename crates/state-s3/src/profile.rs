//! Endpoints that a profile of the AWS tools names: read beforehand, so that the place of a log is known by them.

use std::borrow::Cow;

use aws_runtime::env_config::EnvConfigValue;
use aws_types::os_shim_internal::{Env, Fs};

use crate::aws::profile_files;
use crate::settings::{Settings, SettingsError, checked_endpoint};

impl Settings {
    /// Fills in endpoints that neither the block nor the environment gives, as the AWS tools find them: in the `services`
    /// section of the profile, then in the profile. Files that cannot be read are told of when the store is asked.
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
    ///
    /// # Errors
    /// When an endpoint that is named there cannot be used.
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
        let Ok(sections) = futures::executor::block_on(read) else { return Ok(self) };
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
