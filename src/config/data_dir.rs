//! The directory of the program's own files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use otpost_settings::section::Section;

const FOR_ROOT: &str = "/var/lib/otpost";

pub(super) fn read(root: &Section<'_>, env: &BTreeMap<String, String>) -> PathBuf {
    if let Some(given) = root.text("data_dir") {
        // A later change of the working directory must not change the meaning.
        return std::path::absolute(&given).unwrap_or_else(|_| PathBuf::from(given));
    }
    let default = default(env, rustix::process::geteuid().is_root());
    let default = root.required("data_dir", default, "must be a directory; there is neither XDG_DATA_HOME nor HOME");
    default.unwrap_or_else(|| PathBuf::from(FOR_ROOT))
}

/// The default data directory; `None` when the user has no home.
pub fn default_data_dir(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    match env.get("OTPOST_DATA_DIR").filter(|given| !given.is_empty()) {
        Some(given) => Some(std::path::absolute(given).unwrap_or_else(|_| PathBuf::from(given))),
        None => default(env, rustix::process::geteuid().is_root()),
    }
}

/// A relative XDG_DATA_HOME is ignored, as the XDG Base Directory Specification asks.
fn default(env: &BTreeMap<String, String>, is_root: bool) -> Option<PathBuf> {
    if is_root {
        return Some(PathBuf::from(FOR_ROOT));
    }
    let absolute = |name: &str| env.get(name).map(Path::new).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").map(Path::to_path_buf);
    let data = data.or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("otpost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_follows_the_user() {
        let env = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let home = env(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "data")]);
        assert_eq!(default(&home, true), Some(PathBuf::from("/var/lib/otpost")));
        assert_eq!(default(&home, false), Some(PathBuf::from("/home/ann/.local/share/otpost")));
        let xdg = env(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")]);
        assert_eq!(default(&xdg, false), Some(PathBuf::from("/data/otpost")));
        assert_eq!(default(&env(&[]), false), None);
    }
}
