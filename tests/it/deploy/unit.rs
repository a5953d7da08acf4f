//! The systemd unit: its commands, its secrets as files, and its times.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use otpost::simulator::SimConfig;

use super::{deploy, filled_in, folder};
use crate::helpers::program::{CODE_KEY, Fixture, Program};
use crate::helpers::tools;

/// Lines `Name=value` of a unit, in order.
fn unit() -> Vec<(String, String)> {
    let text = deploy("systemd/otpost.service");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_units_settings_start_reload_and_stop_the_service() {
    let fixture = Fixture::new(SimConfig::default()).await;
    let dir = folder("unit");
    let port = Fixture::free_port();
    let all = |name: &str| -> Vec<String> { unit().into_iter().filter(|(k, _)| k == name).map(|(_, v)| v).collect() };
    // The credentials, as systemd provides them: one file each.
    let credentials = dir.join("credentials");
    fs::create_dir_all(&credentials).unwrap();
    for credential in all("LoadCredential") {
        let (name, file) = credential.split_once(':').unwrap();
        assert!(file.starts_with("/etc/otpost/secrets/"), "{credential}");
        let secret = match name {
            "code-key" => CODE_KEY,
            "database-url" => fixture.database.url(),
            _ => "a-secret-of-the-provider",
        };
        fs::write(credentials.join(name), format!("{secret}\n")).unwrap();
    }
    let environment: BTreeMap<String, String> = all("Environment")
        .into_iter()
        .map(|line| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap())
        .map(|(name, value)| (name, value.replace("/var/lib/otpost", &dir.join("state").display().to_string())))
        .collect();
    let settings = dir.join("otpost.toml");
    let text = filled_in(
        "systemd/otpost.toml",
        &[
            ("/run/credentials/otpost.service/", format!("{}/", credentials.display())),
            ("127.0.0.1:8080", format!("127.0.0.1:{port}")),
            ("provider = \"meta\"\n", format!("provider = \"meta\"\nbase_url = \"{}/meta\"\n", fixture.sim.url())),
            (
                "provider = \"ycloud\"\n",
                format!("provider = \"ycloud\"\nbase_url = \"{}/ycloud\"\n", fixture.sim.url()),
            ),
        ],
    );
    fs::write(&settings, &text).unwrap();
    let command = |name: &str| {
        let line = all(name).pop().unwrap();
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("/usr/local/bin/otpost"), "{line}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_otpost"));
        let place = |word: &str| word.replace("/etc/otpost/otpost.toml", &settings.display().to_string());
        command.args(words.map(place)).env_remove("DATABASE_URL").envs(&environment).stdin(Stdio::null());
        command
    };
    let log = dir.join("log");
    let to = fs::File::create(&log).unwrap();
    let child = command("ExecStart").stdout(Stdio::null()).stderr(to).spawn().unwrap();
    let mut program = Program { child, address: ([127, 0, 0, 1], port).into(), log };
    program.ready().await;

    fs::write(&settings, format!("{text}per_second = 7\n")).unwrap();
    let reloaded = command("ExecReload").output().unwrap();
    assert!(reloaded.status.success(), "{reloaded:?} {}", program.told());
    fs::write(&settings, format!("{text}per_second = \"many\"\n")).unwrap();
    let refused = command("ExecReload").output().unwrap();
    assert!(!refused.status.success(), "a reload that fails says so: {refused:?}");

    assert_eq!(all("KillSignal"), ["SIGTERM"]);
    let patience = Duration::from_secs(all("TimeoutStopSec")[0].parse().unwrap());
    program.terminate();
    let began = Instant::now();
    let status = loop {
        match program.child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(began.elapsed() < patience, "it does not end: {}", program.told()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}");
    if let Some(analyze) = tools::optional("systemd-analyze") {
        let unit = dir.join("otpost.service");
        let text =
            filled_in("systemd/otpost.service", &[("/usr/local/bin/otpost", env!("CARGO_BIN_EXE_otpost").to_owned())]);
        fs::write(&unit, text).unwrap();
        let verified = Command::new(analyze).arg("verify").arg(&unit).output().unwrap();
        assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    }
    fs::remove_dir_all(&dir).ok();
    drop(program);
    fixture.stop().await;
}
