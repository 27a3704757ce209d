"""A cluster that is not ours: the API of `fakepve`, and an SFTP server of `asyncssh` for its snippets.

Prints the variables that a provider needs, then serves until it is stopped.
"""

import asyncio
import os
import posixpath
import re
import tempfile

import asyncssh
from fakepve.certs import make_cert
from fakepve.server import FakePve

TOKEN, SECRET = "root@pam!ci", "00000000-0000-4000-8000-000000000002"
PASSWORD = "double"
SNIPPETS = "/var/lib/vz/snippets"


class Cluster(FakePve):
    async def synthesise(self, match, method, info, user, values):
        """`fakepve` accepts a resize of a VM's disk and forgets it."""
        if method == "PUT" and {"vmid", "disk", "size"} <= values.keys():
            config = self.vm(int(values["vmid"])).config
            rest = re.sub(r",size=[^,]*", "", config[values["disk"]])
            config[values["disk"]] = f"{rest},size={values['size']}"
        return await super().synthesise(match, method, info, user, values)


def sftp(pve, root):
    class Files(asyncssh.SFTPServer):
        """Files below `root`; snippets are volumes of the storage `local`."""

        def __init__(self, channel):
            super().__init__(channel, chroot=root.encode())

        def appeared(self, path):
            folder, name = posixpath.split(path.decode())
            if folder == SNIPPETS and not name.startswith("."):
                pve.store_file("local", name, os.path.getsize(root + path.decode()), "snippets")

        def close(self, file):
            super().close(file)

        def rename(self, old, new, *flags):
            super().rename(old, new, *flags)
            self.appeared(new)

        def posix_rename(self, old, new):
            super().posix_rename(old, new)
            self.appeared(new)

    return Files


class Login(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == ("root", PASSWORD)


async def serve():
    pve = Cluster(host="127.0.0.1", port=0)
    pve.time_scale = 0
    pve.apitokens[TOKEN] = SECRET
    pve.add_node("pve")
    pve.storages["local"]["content"] = "iso,vztmpl,backup,snippets,import"
    with tempfile.TemporaryDirectory() as folder:
        certificate, key, _ = make_cert(folder, hosts=("127.0.0.1",))
        await pve.start(certificate, key)
        root = os.path.join(folder, "node")
        os.makedirs(root + SNIPPETS)
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.create_server(
            Login, "127.0.0.1", 0, server_host_keys=[host_key], sftp_factory=sftp(pve, root)
        )
        print(f"PROXMOX_VE_ENDPOINT=https://127.0.0.1:{pve.port}/")
        print(f"PROXMOX_VE_API_TOKEN={TOKEN}={SECRET}")
        print("PROXMOX_VE_INSECURE=true")
        print("PROXMOX_VE_SSH_USERNAME=root")
        print(f"PROXMOX_VE_SSH_PASSWORD={PASSWORD}")
        print(f"PROXMOX_VE_SSH_PORT={server.get_port()}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
