//! Every data source against the simulator.

use pve_executor::ports::Provider;
use pve_model::codec::to_plain_json;
use serde_json::{Value as Json, json};

use super::super::World;
use super::super::lives::VM;
use super::turns::step;
use super::world;

async fn read(world: &World, kind: &str, config: Json) -> Result<Json, String> {
    let ty = world.provider.registry.data_kind(kind).unwrap().block().implied_type();
    let config = pve_model::codec::decode(&config, &ty).unwrap();
    let read = world.provider.read_data(kind, "proxmox", config).await;
    let read = read.map_err(|error| error.message)?;
    Ok(to_plain_json(&read))
}

#[tokio::test]
async fn nodes_datastores_and_version_are_told() {
    let (world, _server) = world(VM).await;
    let nodes = read(&world, "proxmox_virtual_environment_nodes", json!({})).await.unwrap();
    assert_eq!((&nodes["names"], &nodes["online"]), (&json!(["pve"]), &json!([true])));
    let node = read(&world, "proxmox_virtual_environment_node", json!({"node_name": "pve"})).await.unwrap();
    assert!(node["cpu_count"].as_i64().unwrap() > 0 && node["memory_total"].as_i64().unwrap() > 0, "{node}");
    let version = read(&world, "proxmox_version", json!({})).await.unwrap();
    assert!(version["release"].as_str().unwrap().starts_with('9'), "{version}");
    let kind = "proxmox_virtual_environment_datastores";
    let with = |filters: Json| json!({"node_name": "pve", "filters": filters});
    let ids = |read: &Json| -> Vec<String> {
        let list = read["datastores"].as_array().unwrap().iter();
        list.map(|one| one["id"].as_str().unwrap().to_string()).collect()
    };
    let all = read(&world, kind, with(Json::Null)).await.unwrap();
    assert_eq!(ids(&all), ["files", "local", "local-lvm", "other"]);
    assert_eq!(all["datastores"][1]["type"], "dir");
    let images = read(&world, kind, with(json!({"content_types": ["images"]}))).await.unwrap();
    assert_eq!(ids(&images), ["files", "local-lvm", "other"]);
    let one = read(&world, kind, with(json!({"id": "local"}))).await.unwrap();
    assert_eq!(ids(&one), ["local"]);
}

#[tokio::test]
async fn guests_and_files_are_found_and_their_absence_is_an_error() {
    let (world, _server) = world(VM).await;
    for (id, tags) in [(701, json!(["web", "prod"])), (702, json!(["db"]))] {
        let config = json!({"node_name": "pve", "vm_id": id, "name": format!("n-{id}"), "tags": tags,
                            "started": id == 701});
        step(&world, None, &config).await.unwrap();
    }
    let vms = read(&world, "proxmox_virtual_environment_vms", json!({"tags": ["web"]})).await.unwrap();
    assert_eq!((vms["vms"].as_array().unwrap().len(), &vms["vms"][0]["name"]), (1, &json!("n-701")));
    let filter =
        json!([{"name": "template", "values": ["false"]}, {"name": "status", "values": ["stopped"]}]);
    let vms = read(&world, "proxmox_virtual_environment_vms", json!({"filter": filter})).await.unwrap();
    assert_eq!(vms["vms"][0]["vm_id"], 702);
    // As the reference has them in its state.
    assert_eq!((&vms["filter"][0]["regex"], &vms["tags"]), (&json!(false), &Json::Null));
    let none = read(&world, "proxmox_virtual_environment_containers", json!({})).await.unwrap();
    assert_eq!((&none["containers"], &none["filter"]), (&json!([]), &Json::Null));
    let kind = "proxmox_virtual_environment_vm";
    let vm = read(&world, kind, json!({"node_name": "pve", "vm_id": 701})).await.unwrap();
    assert_eq!(
        (&vm["name"], &vm["status"], &vm["template"]),
        (&json!("n-701"), &json!("running"), &json!(false))
    );
    for (kind, id) in [(kind, 799), ("proxmox_virtual_environment_container", 701)] {
        let fault = read(&world, kind, json!({"node_name": "pve", "vm_id": id})).await.unwrap_err();
        assert!(fault.contains(&id.to_string()), "{fault}");
    }
    let fault = read(&world, kind, json!({"node_name": "pve9", "vm_id": 701})).await.unwrap_err();
    assert_eq!(fault, "guest 701 is not on pve9: it is on pve");
    let file = |name: &str| json!({"node_name": "pve", "datastore_id": "local", "content_type": "iso", "file_name": name});
    let found = read(&world, "proxmox_file", file("a.iso")).await.unwrap();
    assert_eq!((&found["id"], &found["file_size"]), (&json!("local:iso/a.iso"), &json!(7)));
    assert!(read(&world, "proxmox_file", file("z.iso")).await.unwrap_err().contains("z.iso"));
}

#[tokio::test]
async fn lists_of_users_groups_roles_pools_and_jobs_are_told() {
    let (world, _server) = world(VM).await;
    let post = async |path: &str, params: &str| {
        let pairs = params.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(name, text)| (name.to_string(), text.to_string())).collect();
        world.api.send(crate::cluster::Method::Post, path, &pairs).await.unwrap();
    };
    post("/access/groups", "groupid=ops&comment=on call").await;
    post("/access/users", "userid=a@pve&groups=ops&firstname=A&enable=0").await;
    post("/cluster/backup", "id=nightly&schedule=02:30&storage=local&vmid=100&prune-backups=keep-last=3")
        .await;
    let users = read(&world, "proxmox_virtual_environment_users", json!({})).await.unwrap();
    assert_eq!(users["user_ids"], json!(["a@pve", "root@pam"]));
    assert_eq!((&users["groups"][0], &users["enabled"]), (&json!(["ops"]), &json!([false, true])));
    assert_eq!(users["first_names"][0], "A");
    let groups = read(&world, "proxmox_virtual_environment_groups", json!({})).await.unwrap();
    assert_eq!((&groups["group_ids"], &groups["comments"]), (&json!(["ops"]), &json!(["on call"])));
    let roles = read(&world, "proxmox_virtual_environment_roles", json!({})).await.unwrap();
    let at = roles["role_ids"].as_array().unwrap().iter().position(|role| role == "PVEVMUser").unwrap();
    assert!(roles["privileges"][at].as_array().unwrap().contains(&json!("VM.PowerMgmt")));
    assert_eq!(roles["special"][at], true);
    let pools = read(&world, "proxmox_virtual_environment_pools", json!({})).await.unwrap();
    assert_eq!(pools["pool_ids"], json!(["one", "two"]));
    let jobs = read(&world, "proxmox_backup_jobs", json!({})).await.unwrap();
    assert_eq!((&jobs["jobs"][0]["id"], &jobs["jobs"][0]["vmid"]), (&json!("nightly"), &json!(["100"])));
    assert_eq!(jobs["jobs"][0]["prune_backups"], json!({"keep-last": "3"}));
    let user = read(&world, "proxmox_virtual_environment_user", json!({"user_id": "a@pve"})).await.unwrap();
    assert_eq!(
        (&user["groups"], &user["enabled"], &user["acl"]),
        (&json!(["ops"]), &json!(false), &json!([]))
    );
    let none = read(&world, "proxmox_virtual_environment_user", json!({"user_id": "b@pve"})).await;
    assert!(none.unwrap_err().contains("there is no user b@pve"));
}

#[tokio::test]
async fn a_package_repository_that_a_node_does_not_have_is_told_as_the_reference_does() {
    let (world, _server) = world(VM).await;
    let kind = "proxmox_apt_standard_repository";
    let told = read(&world, kind, json!({"node": "pve", "handle": "test"})).await.unwrap();
    let wanted = json!({"node": "pve", "handle": "test", "id": "apt_standard_repository_pve_test", "name": "Test",
        "description": "Test repository", "status": null, "file_path": null, "index": null});
    assert_eq!(told, wanted);
    let unknown = read(&world, kind, json!({"node": "pve", "handle": "none"})).await.unwrap();
    assert_eq!((&unknown["id"], &unknown["name"]), (&Json::Null, &Json::Null));
    let asked = json!({"node": "pve", "file_path": "/etc/apt/sources.list", "index": 0});
    let told = read(&world, "proxmox_apt_repository", asked).await.unwrap();
    assert_eq!(
        (&told["id"], &told["enabled"], &told["uris"]),
        (&json!("apt_repository_pve_etc_apt_sources_list_0"), &Json::Null, &Json::Null)
    );
}
