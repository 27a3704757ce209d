//! Writes the reference pages: `reference [FOLDER]`, by default `docs/reference`.
#![expect(clippy::unwrap_used, reason = "what fails should end it")]

use std::path::PathBuf;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference"),
        PathBuf::from,
    );
    let pages = pve_resources::reference();
    for page in &pages {
        let path = folder.join(&page.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &page.text).unwrap();
    }
    println!("{} pages", pages.len());
}
