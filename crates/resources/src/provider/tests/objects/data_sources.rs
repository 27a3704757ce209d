//! Data sources that are made of resources tell what was made, and that there is none where there is none.

use pve_executor::ports::Provider;
use pve_model::Value;
use pve_model::codec::{decode, to_plain_json};
use serde_json::{Map, Value as Json};

use super::super::Recorder;
use super::{turns, world};
use crate::data::DERIVED;
use crate::object::nothing;

/// Attributes of a data source that its resource has in another form.
const OTHERWISE: &[&str] = &["acl", "groups", "type", "local_time", "utc_time", "proxmox_sdn_subnet.id"];

#[tokio::test(start_paused = true)]
async fn every_derived_data_source_tells_what_its_resource_made() {
    let mut faults = Vec::new();
    for derived in DERIVED.iter().filter(|derived| super::kinds().contains(&derived.resource)) {
        let (world, _) = world(derived.resource);
        let source = derived.names[0];
        let block = world.provider.registry.data_kind(source).unwrap().block();
        let config = world.config(turns::full(&world));
        let made = world.try_apply(None, Some(&config), &Recorder::default()).await.unwrap().unwrap();
        let needed = block.attributes.iter().filter(|(_, attribute)| attribute.required);
        let needed = needed.map(|(name, _)| (name.to_string(), to_plain_json(made.get(name).unwrap())));
        let asked = decode(&Json::Object(needed.collect::<Map<_, _>>()), &block.implied_type()).unwrap();
        let told = match world.provider.read_data(source, "proxmox", asked.clone()).await {
            Ok(told) => told,
            Err(error) => {
                faults.push(format!("{source}: {}", error.message));
                continue;
            }
        };
        for name in block.attributes.keys() {
            if [&**name, &format!("{source}.{name}")].iter().any(|name| OTHERWISE.contains(name)) {
                continue;
            }
            let (known, found) = (made.get(name), told.get(name));
            let json = |value: Option<&Value>| value.map(to_plain_json);
            let attribute = &block.attributes[name];
            // Data sources have nothing of its type where resources have null.
            let left_out = known.is_some_and(Value::is_null) && json(found) == Some(nothing(&attribute.ty));
            if json(known) != json(found) && !left_out && !attribute.sensitive {
                faults.push(format!("{source}: {name} is {:?}, not {:?}", json(found), json(known)));
            }
        }
        world.try_apply(Some(&made), None, &Recorder::default()).await.unwrap();
        if !super::samples::is_always_there(derived.resource) {
            let none = world.provider.read_data(source, "proxmox", asked).await;
            assert!(none.is_err_and(|error| error.message.contains("there is no ")), "{source}");
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
