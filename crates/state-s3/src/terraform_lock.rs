//! The lock that Terraform and OpenTofu keep beside their state with `use_lockfile`: the object `<key>.tflock`.

use serde::Deserialize;

use crate::conditional::read;
use crate::store::{ObjectStore, StoreError};

/// Who holds it. Terraform's lock info, as it writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TerraformLock {
    /// Names this taking of the lock.
    #[serde(rename = "ID")]
    pub id: String,
    /// For instance `OperationTypeApply`.
    pub operation: String,
    /// User and machine.
    pub who: String,
    /// Of the program.
    pub version: String,
    /// When, by the holder's clock.
    pub created: String,
}

impl std::fmt::Display for TerraformLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operation =
            self.operation.strip_prefix("OperationType").unwrap_or(&self.operation).to_lowercase();
        let operation = if operation.is_empty() { "a run" } else { &operation };
        write!(f, "{operation} by {} since {} (lock {})", self.who, self.created, self.id)
    }
}

/// The lock on the state at `key`, if it is held. What cannot be read as one is a lock all the same.
pub(crate) async fn read_lock(
    store: &dyn ObjectStore,
    key: &str,
) -> Result<Option<TerraformLock>, StoreError> {
    let found = read(store, &format!("{key}.tflock")).await?;
    Ok(found.map(|body| serde_json::from_slice(&body).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[tokio::test]
    async fn a_lock_is_read_as_terraform_writes_it() {
        let store = MemoryStore::default();
        assert_eq!(read_lock(&store, "infra/terraform.tfstate").await.unwrap(), None);
        let body =
            br#"{"ID":"7d8c","Operation":"OperationTypeApply","Info":"","Who":"ann@desk","Version":"1.13.1",
            "Created":"2026-11-25T10:00:00Z","Path":"team/infra/terraform.tfstate"}"#;
        store.put("infra/terraform.tfstate.tflock", body.to_vec()).await.unwrap();
        let lock = read_lock(&store, "infra/terraform.tfstate").await.unwrap().unwrap();
        assert_eq!(lock.to_string(), "apply by ann@desk since 2026-11-25T10:00:00Z (lock 7d8c)");
        store.put("other.tflock", b"?".to_vec()).await.unwrap();
        assert!(read_lock(&store, "other").await.unwrap().is_some());
    }
}
