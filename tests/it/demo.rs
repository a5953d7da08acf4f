//! The demo as a person runs it, and the commands that talk to it: the real program, in real time.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use otpost::postgres::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::helpers::database::cluster_base;

const PROGRAM: &str = env!("CARGO_BIN_EXE_otpost");
/// From the start to demo.json, on a busy machine, including the creation of the cluster.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A separate folder; deleted with its contents when dropped.
struct DataDir(PathBuf);

impl DataDir {
    fn new(name: &str) -> Self {
        let dir = cluster_base().join(format!("{name}-{}", std::process::id()));
        fs::remove_dir_all(&dir).ok();
        Self(dir)
    }

    fn connection(&self) -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(self.0.join("demo.json")).ok()?).ok()
    }

    /// Nothing may be left of the server: no process, and no files of a killed one.
    fn assert_no_postgres(&self) {
        let dir = self.0.join("postgres");
        assert_eq!(Cluster::url_of_running(&dir, "otpost"), None);
        assert!(!dir.join("data/postmaster.pid").exists(), "the server was not shut down");
        let place = dir.display().to_string();
        let left: Vec<String> = processes().into_iter().filter(|command| command.contains(&place)).collect();
        assert!(left.is_empty(), "left running: {left:?}");
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn processes() -> Vec<String> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let commands = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    commands
        .map(|command| String::from_utf8_lossy(&command).replace('\0', " "))
        .filter(|c| c.contains("postgres"))
        .collect()
}

/// Ends with its test, however that ends; its server then ends by itself.
struct Demo(Child);

impl Demo {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["demo", "--listen", "127.0.0.1:0", "--seed", "7", "--data-dir"]).arg(dir);
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it still runs");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn otpost(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).arg("--data-dir").arg(dir);
    command.env_remove("OTPOST_URL").env_remove("OTPOST_KEY").stdin(Stdio::null());
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_demo_plays_every_fate_and_leaves_nothing_running() {
    let dir = DataDir::new("demo-exit");
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--exit", "--listen", "127.0.0.1:0", "--seed", "7", "--data-dir"]).arg(&dir.0);
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    // The last twelve rows of a table with a head.
    let table: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("  phone")).skip(1).take(12).collect();
    for (row, words) in table.iter().zip([
        ["+62 … 01", "delivers, is read", "WhatsApp ", "✓ verified"],
        ["+55 … 02", "fails with 131026", "WhatsApp → SMS", "✓ verified"],
        ["+62 … 03", "stays silent", "WhatsApp → SMS", "✓ verified"],
        ["+91 … 04", "comes after the SMS", "WhatsApp → SMS", "✓ delivered"],
        ["+1 … 05", "fails, and SMS too", "WhatsApp → SMS", "✗ failed"],
        ["+234 … 06", "shuffles receipts", "WhatsApp ", "✓ delivered"],
        ["+52 … 07", "reports too early", "1 wrong code", "✓ verified"],
        ["+49 … 08", "answers 500 twice", "3 tries", "✓ delivered"],
        ["+44 … 09", "never answers", "WhatsApp → SMS", "✓ verified"],
        ["+27 … 10", "answers 429", "WhatsApp → SMS", "✓ delivered"],
        ["+34 … 11", "fails, then delivers", "WhatsApp → SMS", "✓ delivered"],
        ["+63 … 12", "skips `sent`", "WhatsApp ", "✓ verified"],
    ]) {
        assert!(words.iter().all(|word| row.contains(word)), "{words:?} in\n{out}");
    }
    assert!(out.contains("All as it should be"), "{out}");
    assert!(!out.contains('\x1b'), "no colours where there is no terminal");
    assert!(table.iter().all(|row| row.chars().count() <= 120), "{out}");
    assert_eq!(dir.connection(), None);
    dir.assert_no_postgres();
}

#[test]
fn a_running_demo_takes_codes_from_the_command_line_and_stops_cleanly() {
    let dir = DataDir::new("demo-stay");
    let mut demo = Demo::start(&dir.0);
    let started = Instant::now();
    let connection = loop {
        if let Some(connection) = dir.connection() {
            break connection;
        }
        assert!(demo.0.try_wait().unwrap().is_none(), "it ended");
        assert!(started.elapsed() < READY_WITHIN, "no demo.json");
        thread::sleep(Duration::from_millis(20));
    };
    for name in ["api_url", "api_key", "simulator_url", "database_url"] {
        assert!(connection[name].is_string(), "{connection}");
    }
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(dir.0.join("demo.json")).unwrap());
    assert_eq!(mode & 0o777, 0o600);

    let second = otpost(&dir.0, &["demo", "--exit"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("a demo is running on"), "{}", text(&second.stderr));

    let sent = otpost(&dir.0, &["send", "+6281299990002", "--code", "471147", "--reference", "cli", "--wait"]);
    assert_eq!(sent.status.code(), Some(0), "{}", text(&sent.stderr));
    let (id, told) = (text(&sent.stdout).trim().to_owned(), text(&sent.stderr));
    assert_eq!(id.len(), 36, "{id}");
    assert!(told.contains("that failed: now by SMS") && told.contains("delivered by SMS"), "{told}");

    let wrong = otpost(&dir.0, &["check", &id, "471148"]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout).as_str()), (Some(1), "wrong: 4 tries left\n"));
    let right = otpost(&dir.0, &["check", &id, "471147"]);
    assert_eq!((right.status.code(), text(&right.stdout).as_str()), (Some(0), "right: the message is verified\n"));
    let again = otpost(&dir.0, &["check", &id, "471147"]);
    assert_eq!(again.status.code(), Some(1));

    let story = text(&otpost(&dir.0, &["show", &id]).stdout);
    for words in
        ["verified to +62 … 02", "failed receipt (131026): applied", "after it was due", "a code was checked: right"]
    {
        assert!(story.contains(words), "{words} in\n{story}");
    }
    assert!(!story.contains("471147") && !story.contains("6281299990002"), "{story}");

    let refused = otpost(&dir.0, &["send", "0812"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).starts_with("otpost: to must be in E.164 form"), "{}", text(&refused.stderr));

    demo.signal(Signal::TERM);
    let status = demo.0.wait().unwrap();
    let mut out = String::new();
    demo.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(status.code(), Some(0), "{out}");
    assert_eq!(dir.connection(), None);
    dir.assert_no_postgres();

    let nobody = otpost(&dir.0, &["tail"]);
    assert_eq!(nobody.status.code(), Some(1));
    let start = format!("start `otpost demo --data-dir {}`", dir.0.display());
    assert!(text(&nobody.stderr).contains(&start), "{}", text(&nobody.stderr));
}

/// Every command that the demo prints, pasted into a shell as a whole, and again. The folder's name needs quoting.
#[test]
fn what_the_demo_prints_to_copy_works_as_it_stands_the_second_time_too() {
    let dir = DataDir::new("demo it's pasted");
    let mut demo = Demo::start(&dir.0);
    let out = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(|line| line.expect("it is UTF-8"));
    let told: Vec<String> = out.take_while(|line| !line.contains("It stays up until")).collect();
    let from = told.iter().position(|line| line.contains("# send a code")).expect("lines to copy");
    let (follow, lines): (Vec<&str>, Vec<&str>) =
        told[from..].iter().map(String::as_str).partition(|line| line.trim_start().contains(" tail"));
    assert_eq!((follow.len(), lines.iter().filter(|line| line.contains("--data-dir")).count()), (1, 2), "{told:?}");
    let paste = |lines: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", lines]).env_remove("OTPOST_URL").env_remove("OTPOST_KEY").env_remove("OTPOST_DATA_DIR");
        command.stdin(Stdio::null()).output().expect("a shell")
    };
    let mut ids = Vec::new();
    for (time, checked) in [(1, "\"valid\":true"), (2, "\"reason\":\"already_used\"")] {
        let pasted = paste(&lines.join("\n"));
        let (out, err) = (text(&pasted.stdout), text(&pasted.stderr));
        assert!(pasted.status.success(), "{time}: {out}\n{err}");
        let message: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        // WhatsApp first, as the demo says: nothing is remembered about this number.
        assert_eq!(
            (&message["channel"], &message["state"]),
            (&"whatsapp".into(), &"accepted".into()),
            "{time}: {message}"
        );
        assert_eq!(message["to"], "+62 … 03");
        assert!(out.contains(checked) && out.contains("verified to +91 … 04"), "{time}: {out}");
        assert!(err.contains("no delivery in time: now by SMS") && err.contains("delivered by SMS"), "{time}: {err}");
        // The hint of that command can be copied too.
        let hint = err.lines().find(|line| line.starts_with("  otpost show ")).expect("a hint");
        let hint = hint.replacen("otpost", PROGRAM, 1);
        let story = text(&paste(&hint).stdout);
        assert!(story.contains("not delivered in time") && story.contains("SMS"), "{hint}: {story}");
        ids.push(message["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    let followed = paste(&format!("{} | head -n 1", follow[0]));
    assert!(text(&followed.stdout).contains(" … "), "{}", text(&followed.stderr));
    demo.signal(Signal::INT);
    assert_eq!(demo.0.wait().unwrap().code(), Some(0));
}

#[test]
fn the_simulator_alone_says_how_to_reach_it_until_it_is_stopped() {
    let mut command = Command::new(PROGRAM);
    command.args([
        "simulate",
        "--listen",
        "127.0.0.1:0",
        "--callback",
        "meta-main=http://127.0.0.1:1/webhooks/meta-main",
    ]);
    let mut simulator = Demo(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts"));
    let mut out = simulator.0.stdout.take().unwrap();
    let mut sheet = String::new();
    // Everything is written at once, when it listens.
    while !sheet.contains("sleekflow-wa") || !sheet.ends_with('\n') {
        let mut piece = [0; 4096];
        let read = out.read(&mut piece).unwrap();
        assert!(read > 0, "{sheet}");
        sheet.push_str(&text(&piece[..read]));
    }
    for words in ["/meta\n", "sim-meta-token", "whsec_sim_ycloud_sms", "http://127.0.0.1:1/webhooks/meta-main\n"] {
        assert!(sheet.contains(words), "{words} in\n{sheet}");
    }
    simulator.signal(Signal::TERM);
    assert_eq!(simulator.0.wait().unwrap().code(), Some(0));
}

#[test]
fn settings_are_checked_from_the_command_line() {
    let dir = DataDir::new("config-check");
    fs::create_dir_all(&dir.0).unwrap();
    let file = dir.0.join("otpost.toml");
    let check = |settings: &str| {
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["config", "check", "--config"]).arg(&file).env_clear().env("HOME", &dir.0);
        command.output().expect("the program runs")
    };
    let right = check("");
    assert_eq!(right.status.code(), Some(0), "{}", text(&right.stderr));
    assert!(text(&right.stdout).starts_with("the settings are right"));
    let wrong = check("[route]\nreplace_after_s = 70\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("otpost.toml:2: route.replace_after_s"), "{}", text(&wrong.stderr));
    assert!(text(&wrong.stderr).contains("1 setting is wrong"));
}
