//! The lock that Terraform and OpenTofu keep on their state: the object `<key>.tflock` beside it with `use_lockfile`, an
//! item in a table with `dynamodb_table`.

use serde::Deserialize;

use crate::conditional::{Tries, read};
use crate::lock_table::LockTable;
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
    /// The table that it is in; `None` for the object.
    #[serde(skip)]
    pub table: Option<String>,
}

impl TerraformLock {
    /// Whether it can be told from the locks that follow it.
    pub fn is_named(&self) -> bool {
        !self.id.is_empty()
    }
}

impl std::fmt::Display for TerraformLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.is_named() {
            let place = self.table.as_ref().map(|table| format!("in the table {table}"));
            let place = place.unwrap_or_else(|| "the object .tflock beside the state".into());
            return write!(f, "a lock that does not say whose it is ({place})");
        }
        let operation =
            self.operation.strip_prefix("OperationType").unwrap_or(&self.operation).to_lowercase();
        let operation = if operation.is_empty() { "a run" } else { &operation };
        write!(f, "{operation} by {} since {} (lock {}", self.who, self.created, self.id)?;
        match &self.table {
            Some(table) => write!(f, " in the table {table})"),
            None => f.write_str(")"),
        }
    }
}

/// The locks on the state at `key`, which is called `id` in the table. There is one, unless some lock it here and some
/// there: who does both gives both one id.
pub(crate) async fn read_locks(
    store: &dyn ObjectStore,
    key: &str,
    table: Option<(&LockTable, Tries)>,
    id: &str,
) -> Result<Vec<TerraformLock>, StoreError> {
    let in_table = async {
        let Some((table, tries)) = table else { return Ok(None) };
        let found = table.read(id, tries).await?;
        Ok(found.map(|info| TerraformLock { table: Some(table.name().into()), ..lock(info.as_bytes()) }))
    };
    let (object, item) = futures::try_join!(read_lock(store, key), in_table)?;
    let item = item.filter(|item| object.as_ref().is_none_or(|object| object.id != item.id));
    Ok(object.into_iter().chain(item).collect())
}

/// What cannot be read as a lock is one all the same.
fn lock(info: &[u8]) -> TerraformLock {
    serde_json::from_slice(info).unwrap_or_default()
}

/// The lock object on the state at `key`, if it is there.
async fn read_lock(store: &dyn ObjectStore, key: &str) -> Result<Option<TerraformLock>, StoreError> {
    let found = read(store, &format!("{key}.tflock")).await?;
    Ok(found.map(|body| lock(&body)))
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
        let unreadable = read_lock(&store, "other").await.unwrap().unwrap();
        assert!(!unreadable.is_named());
        let told = "a lock that does not say whose it is (the object .tflock beside the state)";
        assert_eq!(unreadable.to_string(), told);
    }
}
