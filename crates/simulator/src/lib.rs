//! A Proxmox VE API double. The modules beside this file are a draft that is not part of the build yet.
