//! Where an environment's log is, as it is kept beside the environment: by its name, and by what leads there again.

use std::path::PathBuf;

use pve_state_s3::Settings;
use serde::{Deserialize, Serialize};

use super::given::{Protected, protected, restored};
use super::{Backend, Local, bucket};
use crate::failure::Failure;
use crate::project::Project;

/// How the store without an endpoint of its own is recorded: names of buckets are unique in it.
pub(super) const AWS: &str = "AWS";

/// The file where an environment keeps its place, and how far the log was seen to go.
pub(super) fn path(project: &Project) -> PathBuf {
    project.data_folder().join("log.json")
}

/// Where a log is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    /// The type of backend.
    kind: String,
    /// How it is called; two places of one name are one.
    pub(super) name: String,
    /// The file of a log on this machine, from the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
    /// What is needed to get there again.
    #[serde(flatten)]
    arguments: Protected,
}

impl Place {
    /// The place of an environment's log in a backend.
    ///
    /// # Errors
    /// When there are secrets and no key to seal them with.
    pub(super) fn of(project: &Project, backend: &Backend) -> Result<Place, Failure> {
        let name = name(project, backend);
        let (kind, file, arguments) = match backend {
            Backend::Local(local) => {
                ("local", local.log(project).canonicalize().ok(), local.arguments.clone())
            }
            Backend::Shared(bucket) => ("s3", None, bucket.lasting_arguments()),
        };
        Ok(Place { kind: kind.into(), name, file, arguments: protected(project, &arguments)? })
    }

    /// The backend that the log is in.
    ///
    /// # Errors
    /// When its arguments cannot be read.
    pub(super) fn backend(&self, project: &Project) -> Result<Backend, Failure> {
        let arguments = restored(project, &self.arguments, &path(project))?;
        if self.kind == "local" {
            return Local::from_arguments(arguments).map(Backend::Local);
        }
        bucket(arguments)
    }

    /// The file to which the arguments of a log on this machine lead for the environment of now.
    ///
    /// # Errors
    /// As [`Place::backend`].
    pub(super) fn local(&self, project: &Project) -> Result<Option<PathBuf>, Failure> {
        if self.kind != "local" {
            return Ok(None);
        }
        Ok(match self.backend(project)? {
            Backend::Local(local) => Some(local.log(project)),
            Backend::Shared(_) => None,
        })
    }

    /// The same, to go there: refused where it leads somewhere else by now.
    pub(super) fn reached(&self, project: &Project) -> Result<Backend, Failure> {
        let backend = self.backend(project)?;
        let found = name(project, &backend);
        if self.kind == "local" || found == self.name {
            return Ok(backend);
        }
        Err(Failure::hinted(
            format!(
                "the log was last used as {}, and what is remembered of that leads to {found} now",
                self.name
            ),
            if self.arguments.names("endpoints") {
                "The environment has changed since, or the profile: set AWS_ENDPOINT_URL_S3 as it was. Nothing was changed."
            } else {
                "It was at AWS itself, and the environment or the profile names an endpoint since: take AWS_ENDPOINT_URL_S3, \
                 AWS_ENDPOINT_URL or endpoint_url away. Nothing was changed."
            },
        ))
    }
}

/// How the place of an environment's log is called.
pub(super) fn name(project: &Project, backend: &Backend) -> String {
    match backend {
        Backend::Local(local) => local.name(project),
        Backend::Shared(bucket) => bucket.place(project.stream()),
    }
}

/// The bucket and the place in it.
pub(super) fn place(settings: &Settings, project: &Project) -> String {
    format!("s3://{}/{}", settings.bucket, settings.layout(project.stream()).prefix())
}

/// The name of the store.
pub(super) fn store(settings: &Settings) -> String {
    let Some(endpoint) = &settings.endpoint else { return AWS.into() };
    let host = endpoint.split('/').nth(2).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let is_aws = host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
    if is_aws { AWS.into() } else { endpoint.to_ascii_lowercase() }
}
