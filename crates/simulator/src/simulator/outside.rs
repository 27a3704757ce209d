//! What befalls a cluster beside its API: time, failures, and files that come from elsewhere.

use std::net::IpAddr;
use std::time::Duration;

use super::{Simulator, now};
use crate::nodes;
use crate::options::FailureRule;
use crate::state::RemoteFile;
use crate::storage;

impl Simulator {
    /// The address that every node gives as its own from now on.
    pub fn set_address(&self, address: IpAddr) {
        self.lock().options.address = Some(address);
    }

    /// Stops the clock: tasks, status cycles and tickets go on only when time is [advanced](Simulator::advance), so that
    /// what is asked at which state of a task does not hang on how quick the machine is.
    pub fn stop_clock(&self) {
        self.lock().stopped = Some(now());
    }

    /// Moves a stopped clock on; nothing happens while the clock runs by itself.
    pub fn advance(&self, time: Duration) {
        if let Some(stopped) = &mut self.lock().stopped {
            *stopped += time.as_millis() as u64;
        }
    }

    /// Lets the local manager of high availability on a node fall silent, as of `ago` before now: after half a minute it
    /// is taken for dead.
    pub fn silence_manager(&self, node: &str, ago: Duration) {
        let mut inner = self.lock();
        let since = inner.now() / 1000 - ago.as_secs();
        inner.state.ha.silent.insert(node.to_owned(), since);
        // A test that cannot write its state notices at the next request.
        let _ = inner.save();
    }

    /// Replaces the failures to inject; their counters start anew.
    pub fn set_failures(&self, failures: Vec<FailureRule>) {
        let mut inner = self.lock();
        inner.matched = vec![0; failures.len()];
        inner.options.failures = failures;
    }

    /// Puts a file behind a URL: downloads of it have this size and these checksums.
    pub fn register_url(&self, url: &str, bytes: &[u8]) {
        let file = RemoteFile {
            size: bytes.len() as u64,
            virtual_size: storage::virtual_size(bytes),
            checksums: storage::checksums(bytes),
            mime_type: "application/octet-stream".to_owned(),
            exists: true,
            trusted: true,
        };
        self.register_remote_file(url, file);
    }

    /// As [`Simulator::register_url`], for a file of any size that need not be there.
    pub fn register_remote_file(&self, url: &str, file: RemoteFile) {
        let mut inner = self.lock();
        inner.state.remote_files.insert(url.to_owned(), file);
        // A test that cannot write its state notices at the next request.
        let _ = inner.save();
    }

    /// Puts a file on a storage as if it had always been there: `add_file("local:vztmpl/x.tar.zst", b"...")`.
    pub fn add_file(&self, volume_id: &str, bytes: &[u8]) {
        let mut inner = self.lock();
        let seconds = inner.now() / 1000;
        storage::store_file(&mut inner.state, volume_id, bytes, seconds);
        let _ = inner.save();
    }

    /// Fills a storage with other data: nothing more can be allocated on it.
    pub fn fill_storage(&self, storage: &str) {
        let mut inner = self.lock();
        inner.state.full_storages.insert(storage.to_owned());
        let _ = inner.save();
    }

    /// Makes a thin pool in a volume group of a node, as by `lvcreate` there.
    pub fn add_thin_pool(&self, node: &str, group: &str, name: &str) {
        let mut inner = self.lock();
        nodes::add_thin_pool(&mut inner.state, node, group, name);
        let _ = inner.save();
    }

    /// The text of a small file on a storage, for example an uploaded snippet.
    pub fn file(&self, volume_id: &str) -> Option<String> {
        self.lock().state.volumes.get(volume_id).and_then(|volume| volume.bytes.clone())
    }
}
