//! Storages and what is on them.

use super::Api;

#[tokio::test]
async fn a_place_shows_the_same_volumes_under_every_definition_of_it() {
    // PVE::Storage::LvmThinPlugin, list_images: what is in the pool, whoever put it there.
    let api = Api::start().await;
    let again = "storage=again&type=lvmthin&vgname=pve&thinpool=data&content=images,rootdir";
    api.expect(&[("POST", "/storage", again, "200")]).await;
    let names = async |storage: &str| -> Vec<String> {
        let content = api.get(&format!("/nodes/pve/storage/{storage}/content")).await;
        let names = content.as_array().unwrap().iter().map(|row| row["volid"].as_str().unwrap());
        names.map(|id| id.split(':').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(names("again").await, ["vm-100-disk-0", "vm-200-disk-0", "vm-200-disk-1"]);
    // A number that is taken in the pool is not given again.
    api.expect(&[
        ("PUT", "/nodes/pve/qemu/100/config", "scsi1=again:1", "200"),
        ("DELETE", "/storage/again", "", "200"),
    ])
    .await;
    assert!(names("local-lvm").await.contains(&"vm-100-disk-1".to_owned()));
}
