"""`proxmoxer`, a client that is not ours, on the simulator: creates, changes, lists and deletes a VM and a container."""

import os
from urllib.parse import urlsplit

from proxmoxer import ProxmoxAPI, ResourceException
from proxmoxer.tools import Tasks

endpoint = urlsplit(os.environ["PROXMOX_VE_ENDPOINT"])
token, secret = os.environ["PROXMOX_VE_API_TOKEN"].split("=", 1)
user, name = token.split("!", 1)
api = ProxmoxAPI(
    endpoint.hostname, port=endpoint.port, user=user, token_name=name, token_value=secret, verify_ssl=False
)


def done(upid):
    """Waits for a task, which must succeed."""
    status = Tasks.blocking_status(api, upid, timeout=60, polling_interval=0.1)
    assert status is not None and status["exitstatus"] == "OK", (upid, status)


def guests():
    return {guest["id"] for guest in api.cluster.resources.get(type="vm")}


def vm(node):
    vmid = int(api.cluster.nextid.get())
    done(node.qemu.post(vmid=vmid, name="one", memory=512, cores=1, scsi0="local-lvm:4", net0="virtio,bridge=vmbr0"))
    guest = node.qemu(vmid)
    guest.config.put(memory=1024, description="changed", tags="b;a")
    config = guest.config.get()
    assert (config["memory"], config["tags"]) == ("1024", "a;b"), config
    assert config["scsi0"] == f"local-lvm:vm-{vmid}-disk-0,size=4G", config
    done(guest.resize.put(disk="scsi0", size="+1G"))
    assert "size=5G" in guest.config.get()["scsi0"]
    done(guest.status.start.post())
    assert guest.status.current.get()["status"] == "running"
    assert {row["vmid"]: row["name"] for row in node.qemu.get()}[vmid] == "one"
    done(guest.status.stop.post())
    done(guest.snapshot.post(snapname="before"))
    assert {snapshot["name"] for snapshot in guest.snapshot.get()} == {"before", "current"}
    done(guest.snapshot("before").delete())
    clone = int(api.cluster.nextid.get())
    done(guest.clone.post(newid=clone, name="two", full=1))
    for gone in (clone, vmid):
        done(node.qemu(gone).delete(purge=1))


def container(node):
    vmid = int(api.cluster.nextid.get())
    url = "http://download.proxmox.com/images/system/debian-12-standard_12.7-1_amd64.tar.zst"
    store = node.storage("local")
    done(store("download-url").post(url=url, content="vztmpl", filename="debian.tar.zst"))
    template = "local:vztmpl/debian.tar.zst"
    assert template in {volume["volid"] for volume in store.content.get(content="vztmpl")}
    net = "name=eth0,bridge=vmbr0,ip=dhcp"
    done(node.lxc.post(vmid=vmid, hostname="ct", ostemplate=template, memory=256, rootfs="local-lvm:2", net0=net))
    guest = node.lxc(vmid)
    guest.config.put(memory=512, description="changed")
    assert guest.config.get()["memory"] == 512
    done(guest.status.start.post())
    assert {int(row["vmid"]): row["status"] for row in node.lxc.get()}[vmid] == "running"
    try:
        done(guest.delete())
        raise AssertionError("a running container was deleted")
    except ResourceException as refused:
        assert refused.status_code == 500 and "running" in str(refused), refused
    done(guest.status.stop.post())
    done(guest.delete())
    done(store.content(template).delete())


[only] = api.nodes.get()
before = guests()
vm(api.nodes(only["node"]))
container(api.nodes(only["node"]))
assert guests() == before
print("proxmoxer: a VM and a container were created, changed, listed and deleted")
