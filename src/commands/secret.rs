//! Secrets of commands. Arguments are visible to every user of the machine and stay in the shell's history, so each
//! secret can be passed in another way.

use std::io::BufRead;

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

/// Maximum number of bytes read.
const LONGEST: u64 = 64 * 1024;

/// `-`: a line of standard input; `env:NAME`; `file:PATH`, its first line; anything else is the secret itself.
///
/// # Errors
/// When the source is empty or missing. The secret is not repeated.
pub(super) fn resolve(given: &str, what: &str) -> Result<Zeroizing<String>> {
    let text = if given == "-" {
        line(std::io::stdin().lock()).with_context(|| format!("cannot read {what} from standard input"))?
    } else if let Some(name) = given.strip_prefix("env:") {
        Zeroizing::new(std::env::var(name).with_context(|| format!("{what}: the variable {name}"))?)
    } else if let Some(path) = given.strip_prefix("file:") {
        let file = std::fs::File::open(path).with_context(|| format!("{what}: cannot open {path}"))?;
        line(std::io::BufReader::new(file)).with_context(|| format!("{what}: cannot read {path}"))?
    } else {
        Zeroizing::new(given.to_owned())
    };
    let text = Zeroizing::new(text.trim().to_owned());
    if text.is_empty() {
        bail!("{what} is empty");
    }
    Ok(text)
}

fn line(from: impl BufRead) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    std::io::Read::take(from, LONGEST).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_a_file_or_a_variable() {
        let path = std::env::temp_dir().join(format!("otpost-secret-{}", std::process::id()));
        std::fs::write(&path, "otp_live_1\nmore\n").unwrap();
        let found = resolve(&format!("file:{}", path.display()), "the key").unwrap();
        assert_eq!(&*found, "otp_live_1");
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(
            resolve(&format!("file:{}", path.display()), "the key").unwrap_err().to_string(),
            "the key is empty"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(resolve(&format!("file:{}", path.display()), "the key").is_err());
        assert!(!resolve("env:PATH", "the key").unwrap().is_empty());
        assert!(resolve("env:OTPOST_TEST_NOT_SET", "the key").is_err());
        assert_eq!(&*resolve("123456", "the code").unwrap(), "123456");
    }
}
