//! The options that a suggested command needs to find the same files again, quoted for a shell.

use std::path::Path;

use crate::config::environment;

/// One word of a POSIX shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// ` --config FILE --data-dir DIR`, as far as they are given.
pub(super) fn flags(config: Option<&Path>, data_dir: Option<&Path>) -> String {
    let given = [("config", config), ("data-dir", data_dir)];
    let flag = |(name, path): (&str, Option<&Path>)| Some(format!(" --{name} {}", quoted(path?.to_str()?)));
    given.into_iter().filter_map(flag).collect()
}

/// The flags for a suggested command, from the flags or variables of the current one.
pub(super) fn same_place(config: Option<&Path>) -> String {
    let environment = environment();
    let data_dir = environment.get("OTPOST_DATA_DIR").filter(|dir| !dir.is_empty());
    flags(config, data_dir.map(Path::new))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        for word in ["/tmp/a", "it's here", "", "a\"b$(c)`d`\\", "*", "~", "'", "a\nb", "-n", "é"] {
            let line = format!("printf %s {}", quoted(word));
            let read = Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(read.stdout).unwrap(), word, "{line}");
        }
        assert_eq!(flags(None, Some(Path::new("/a b"))), " --data-dir '/a b'");
        assert_eq!(flags(Some(Path::new("o.toml")), None), " --config o.toml");
    }
}
