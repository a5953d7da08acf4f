//! The output of commands: in a terminal of some width, and piped to a program.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use otpost::simulator::SimConfig;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::helpers::app::{hmac_hex, meta_body};
use crate::helpers::program::{Fixture, How};

const PROGRAM: &str = env!("CARGO_BIN_EXE_otpost");

/// What a command shows in a terminal that is so many columns wide. `None` where there is no `script` to make one.
fn in_terminal(columns: u16, arguments: &str, variables: &[(&str, &str)]) -> Option<String> {
    let line = format!("stty cols {columns} rows 50; {PROGRAM} {arguments}");
    let mut command = Command::new("script");
    command.args(["--quiet", "--command", &line, "/dev/null"]).stdin(Stdio::null());
    command.env_remove("DATABASE_URL").env("TERM", "xterm").env("NO_COLOR", "1").envs(variables.iter().copied());
    match command.output() {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap().replace('\r', "")),
        Err(error) => {
            eprintln!("NOT TESTED: there is no `script` on this machine: {error}");
            None
        }
    }
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split_whitespace().collect()
}

/// No line is longer than the terminal is wide, except one of a single word, and no word is broken.
fn is_folded(columns: u16, arguments: &str, variables: &[(&str, &str)]) {
    let (Some(narrow), Some(wide)) =
        (in_terminal(columns, arguments, variables), in_terminal(400, arguments, variables))
    else {
        return;
    };
    for line in narrow.lines().filter(|line| line.chars().count() > usize::from(columns)) {
        assert_eq!(line.split_whitespace().count(), 1, "{arguments} at {columns}: {line}");
    }
    assert!(!narrow.trim().is_empty(), "{arguments}");
    let whole = words(&wide);
    let broken: Vec<&str> = words(&narrow).into_iter().filter(|word| !whole.contains(word)).collect();
    assert!(broken.is_empty(), "{arguments} at {columns}: {broken:?}\n{narrow}");
}

#[test]
fn every_help_is_folded_between_words() {
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.strip_prefix("  ")).collect();
    let commands: Vec<&str> =
        commands.into_iter().filter(|line| !line.starts_with(' ')).filter_map(|l| l.split(' ').next()).collect();
    assert!(commands.len() >= 14, "{commands:?}");
    for columns in [60, 80, 120] {
        is_folded(columns, "--help", &[]);
        for command in commands.iter().filter(|command| **command != "help") {
            is_folded(columns, &format!("{command} --help"), &[]);
        }
        for command in ["keys create", "keys list", "keys revoke", "config check"] {
            is_folded(columns, &format!("{command} --help"), &[]);
        }
    }
}

fn run(arguments: &[&str], variables: &[(&str, String)]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_remove("DATABASE_URL").stdin(Stdio::null());
    command.envs(variables.iter().map(|(name, value)| (*name, value))).output().unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_is_folded_for_people_and_json_for_programs_and_shows_no_code() {
    let fixture = Fixture::new(SimConfig::default()).await;
    let port = Fixture::free_port();
    let url = format!("http://127.0.0.1:{port}");
    fixture.callbacks_to(&url);
    let program = fixture.start(port, &How::default()).await;
    let settings = program.log.with_file_name("otpost.toml");
    let config = settings.to_str().unwrap();
    let http = reqwest::Client::new();

    // A body that is not a callback, with a code and a number in it.
    let odd = json!({ "object": "whatsapp_business_account", "entry": [{ "changes": [{ "field": "messages", "value": {
        "statuses": [{ "id": 7, "text": "your code is 493817", "to": "+628123450001" }],
    }}]}]})
    .to_string();
    let signature = hmac_hex(otpost::simulator::faces::meta::APP_SECRET, &[odd.as_bytes()]);
    let post =
        http.post(format!("{url}/webhooks/meta-main")).header("X-Hub-Signature-256", format!("sha256={signature}"));
    assert_eq!(post.body(odd).send().await.unwrap().status(), 200);
    let fine = meta_body(&[]);
    let signature = hmac_hex(otpost::simulator::faces::meta::APP_SECRET, &[fine.as_bytes()]);
    let post =
        http.post(format!("{url}/webhooks/meta-main")).header("X-Hub-Signature-256", format!("sha256={signature}"));
    assert_eq!(post.body(fine).send().await.unwrap().status(), 200);

    let service = [("OTPOST_URL", url.clone()), ("OTPOST_KEY", fixture.key.clone())];
    let sent = run(&["send", "+628123450001", "--reference", "order-4711"], &service);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let id = String::from_utf8(sent.stdout).unwrap().trim().to_owned();
    let wait = format!("{url}/v1/messages/{id}?wait_for=delivered&timeout_s=30");
    http.get(wait).bearer_auth(&fixture.key).send().await.unwrap().text().await.unwrap();

    let letters = json_lines(&run(&["replay", "--list", "--json", "--config", config], &[]));
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = letters[0]["letter_id"].as_str().unwrap().to_owned();
    assert_eq!((&letters[0]["account"], &letters[0]["replayed_at"]), (&json!("meta-main"), &Value::Null));
    let shown = json_lines(&run(&["replay", "--show", &letter, "--json", "--config", config], &[]));
    let body = shown[0]["body"].as_str().unwrap();
    assert!(body.contains("your code is ******") && body.contains("statuses"), "{body}");
    let plain = run(&["replay", "--show", &letter, "--config", config], &[]);
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert!(plain.contains("meta-main") && plain.contains("your code is ******"), "{plain}");
    for text in [&plain, &shown[0].to_string()] {
        assert!(!text.contains("493817") && !text.contains("628123450001"), "{text}");
    }
    let missing = run(&["replay", "--show", &id, "--config", config], &[]);
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(!missing.status.success() && said.contains("there is no dead letter"), "{said}");

    let keys = json_lines(&run(&["keys", "list", "--json", "--config", config], &[]));
    assert_eq!((keys.len(), &keys[0]["app"], &keys[0]["revoked_at"]), (1, &json!("shop"), &Value::Null));
    let texts = json_lines(&run(&["texts", "--json", "--config", config], &[]));
    assert!(texts.len() >= 10 && texts.iter().all(|text| text["parts"].as_u64().is_some()), "{texts:?}");
    let sent = json_lines(&run(&["send", "+628123450002", "--json", "--wait", "--code", "471147"], &service));
    assert!(sent.len() > 2 && sent.iter().all(|line| line["id"] == sent[0]["id"]), "{sent:?}");
    assert_eq!((&sent[0]["state"], &sent[sent.len() - 1]["state"]), (&json!("accepted"), &json!("delivered")));
    let check = ["check", sent[0]["id"].as_str().unwrap(), "--json"];
    let wrong = run(&[&check[..], &["471148"]].concat(), &service);
    assert_eq!(wrong.status.code(), Some(1));
    let wrong: Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!(
        (&wrong["valid"], &wrong["reason"], &wrong["tries_left"]),
        (&json!(false), &json!("wrong_code"), &json!(4))
    );
    let right = json_lines(&run(&[&check[..], &["471147"]].concat(), &service));
    assert_eq!((&right[0]["valid"], &right[0]["outcome"]), (&json!(true), &json!("verified")));
    let settings_told = json_lines(&run(&["config", "check", "--json", "--connect", "--config", config], &[]));
    let [told] = &settings_told[..] else { panic!("{settings_told:?}") };
    assert_eq!((&told["right"], &told["problems"], &told["settings"]), (&json!(true), &json!([]), &json!(config)));
    assert!(told["tried"].as_array().unwrap().iter().all(|one| one["result"] == "ok"), "{told}");
    assert_eq!(told["accounts"][0], json!({ "name": "meta-main", "channel": "whatsapp", "provider": "meta" }));
    // Still not a callback, so it stays; the JSON says so too.
    let replayed = run(&["replay", "--json", "--config", config], &[]);
    assert_eq!(replayed.status.code(), Some(1));
    let replayed: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!((&replayed["letter_id"], &replayed["receipts"]), (&json!(letter), &Value::Null));
    assert_eq!(replayed["stays"], json!("still cannot be read whole"));

    let story = json_lines(&run(&["show", &id, "--json"], &service));
    assert_eq!(story[0]["message"]["id"], json!(id));
    assert!(story[0]["timeline"].as_array().unwrap().len() > 3);

    let variables = [("OTPOST_URL", url.as_str()), ("OTPOST_KEY", fixture.key.as_str())];
    for columns in [60, 80, 120] {
        for arguments in [
            format!("keys list --config {config}"),
            format!("replay --list --config {config}"),
            format!("replay --show {letter} --config {config}"),
            format!("texts --config {config}"),
            format!("config check --config {config}"),
            format!("config check --connect --config {config}"),
            format!("forget +628123450009 --config {config}"),
            format!("keys revoke nothing --config {config}"),
            "texts --lint 'a text that is long enough, with ñ and 你好, for more than a line'".to_owned(),
            format!("show {id}"),
        ] {
            is_folded(columns, &arguments, &variables);
        }
    }
    // Also problems in settings.
    let wrong = settings.with_file_name("wrong.toml");
    fs::write(&wrong, "[route]\nsteps = [\"nobody\"]\nreplace_after_s = 5\n[accounts.x]\nprovider = \"twilioo\"\n")
        .unwrap();
    is_folded(80, &format!("config check --config {}", wrong.display()), &[]);
    let problems = run(&["config", "check", "--json", "--config", wrong.to_str().unwrap()], &[]);
    assert_eq!(problems.status.code(), Some(1));
    let problems: Value = serde_json::from_slice(&problems.stdout).unwrap();
    assert_eq!((&problems["right"], &problems["problems"][0]["setting"]), (&json!(false), &json!("route.steps")));

    nobody_who_goes_is_a_fault(config, &id, &variables);
    a_full_disk_is(config, &variables);
    tail_ends_with_its_reader(&variables);
    drop(program);
    fixture.stop().await;
}

/// The reader may stop reading, even before the first line.
fn nobody_who_goes_is_a_fault(config: &str, id: &str, variables: &[(&str, &str)]) {
    for arguments in [
        "--help".to_owned(),
        format!("texts --json --config {config}"),
        format!("texts --config {config}"),
        "texts --lint hello".to_owned(),
        format!("keys list --config {config}"),
        format!("replay --list --config {config}"),
        format!("replay --config {config}"),
        format!("config check --connect --config {config}"),
        format!("config check --json --config {config}"),
        format!("migrate --config {config}"),
        format!("forget +628123450009 --config {config}"),
        format!("show {id}"),
        format!("show {id} --json"),
        format!("check {id} 000000"),
        "send +628123450001".to_owned(),
        "tail".to_owned(),
        "tail --json".to_owned(),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(PROGRAM);
        command.args(words_of(&arguments)).env_remove("DATABASE_URL").envs(variables.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked") && !said.contains("roken pipe"), "{arguments}: {said}");
        let status = output.status.code();
        assert!([0, 1, 6].iter().any(|code| status == Some(*code)), "{arguments}: {status:?} {said}");
    }
}

/// `tail` has nothing to write when its reader goes, because nothing happens any more.
fn tail_ends_with_its_reader(variables: &[(&str, &str)]) {
    let mut command = Command::new(PROGRAM);
    command.args(["tail", "-n", "1"]).envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("tail goes on for nobody");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0));
}

fn words_of(arguments: &str) -> Vec<&str> {
    arguments.split(' ').collect()
}

/// A script must not take half an answer for the whole, and a key that was never shown must not stay valid.
fn a_full_disk_is(config: &str, variables: &[(&str, &str)]) {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("NOT TESTED: this machine has no /dev/full");
        return;
    }
    let run = |arguments: &str| {
        let mut command = Command::new("sh");
        let line = format!("exec {PROGRAM} {arguments} > /dev/full");
        command.args(["-c", &line]).env_remove("DATABASE_URL").envs(variables.iter().copied());
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for arguments in
        ["texts --lint hello".to_owned(), format!("keys list --json --config {config}"), "tail --json".to_owned()]
    {
        let (status, said) = run(&arguments);
        assert_eq!(status, Some(1), "{arguments}: {said}");
        assert!(said.contains("cannot write to standard output: No space left"), "{arguments}: {said}");
    }
    let (status, said) = run(&format!("keys create lost --config {config}"));
    assert!(status == Some(1) && said.contains("cannot print the key, so it is revoked again"), "{said}");
    let keys = json_lines(&self::run(&["keys", "list", "--json", "--config", config], &[]));
    let lost: Vec<&Value> = keys.iter().filter(|key| key["app"] == "lost").collect();
    assert!(lost.len() == 1 && !lost[0]["revoked_at"].is_null(), "{keys:?}");
}

/// Ctrl-C, as a terminal sends it.
#[test]
fn ctrl_c_ends_a_command_as_a_shell_expects() {
    use std::os::unix::process::ExitStatusExt;

    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for arguments in [vec!["tail"], vec!["send", "+628123450001", "--wait"], vec!["show", "x"]] {
        let mut command = Command::new(PROGRAM);
        command.args(&arguments).env("OTPOST_URL", &url).env("OTPOST_KEY", "k").stdin(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let connection = silent.accept().unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(2), "{arguments:?}: a shell says 130");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        drop(connection);
    }
}

/// What a killed demo left behind.
#[test]
fn an_address_that_nobody_answers_at_any_more_is_told_with_its_file() {
    let dir = std::env::temp_dir().join(format!("otpost it's stale {}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let port = Fixture::free_port();
    let left = json!({ "api_url": format!("http://127.0.0.1:{port}"), "api_key": "k", "simulator_url": "", "database_url": "" });
    fs::write(dir.join("demo.json"), left.to_string()).unwrap();
    let shown = run(&["tail", "--data-dir", dir.to_str().unwrap()], &[]);
    let said = String::from_utf8(shown.stderr).unwrap();
    assert!(said.contains(&dir.join("demo.json").display().to_string()) && said.contains("refused"), "{said}");
    let quoted = dir.display().to_string().replace('\'', r"'\''");
    assert!(said.contains(&format!("start `otpost demo --data-dir '{quoted}'` again")), "{said}");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_flag_and_the_variable_for_the_data_directory_mean_the_same() {
    let base = std::env::temp_dir().join(format!("otpost-data-dir-{}", std::process::id()));
    fs::create_dir_all(&base).unwrap();
    let file = base.join("otpost.toml");
    fs::write(&file, format!("data_dir = \"{}/file\"\n", base.display())).unwrap();
    let place = |name: &str| base.join(name).display().to_string();
    let flag = [("--data-dir".to_owned(), place("flag"))];
    for (with_flag, with_variable, with_file, expected) in [
        (true, true, true, "flag"),
        (true, false, true, "flag"),
        (true, true, false, "flag"),
        (false, true, true, "variable"),
        (false, true, false, "variable"),
        (false, false, true, "file"),
    ] {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(PROGRAM);
            command.args(arguments).current_dir(std::env::temp_dir()).env_remove("DATABASE_URL").env("HOME", &base);
            if with_flag {
                command.args(flag.iter().flat_map(|(name, dir)| [name, dir]));
            }
            if with_variable {
                command.env("OTPOST_DATA_DIR", place("variable"));
            }
            if with_file && !matches!(arguments[0], "show" | "check" | "tail" | "send" | "demo") {
                command.arg("--config").arg(&file);
            }
            let output = command.stdin(Stdio::null()).output().unwrap();
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        };
        let told = run(&["config", "check"]);
        assert!(told.contains(&place(expected)), "{expected}: {told}");
        let told = run(&["reload"]);
        assert!(told.contains(&format!("{} as its data directory", place(expected))), "{expected}: {told}");
        for arguments in [
            &["keys", "list"][..],
            &["keys", "create", "shop"],
            &["replay", "--list"],
            &["replay"],
            &["forget", "+628123450003"],
            &["migrate"],
        ] {
            let told = run(arguments);
            assert!(told.contains(&format!("{}/postgres holds none", place(expected))), "{arguments:?}: {told}");
        }
        // These commands do not read settings.
        let id = "01a08ac2-8900-7000-8000-000000000000";
        for arguments in [&["show", id][..], &["check", id, "123456"], &["tail"], &["send", "+628123450003"]] {
            if !with_file {
                let told = run(arguments);
                assert!(told.contains(&format!("{}/demo.json", place(expected))), "{arguments:?}: {told}");
            }
        }
        // A file is in the place of the folder.
        fs::write(place(expected), "").unwrap();
        let told = run(&["serve"]);
        assert!(told.contains(&place(expected)), "serve: {told}");
        if !with_file {
            let told = run(&["demo", "--exit", "--listen", "127.0.0.1:0"]);
            assert!(told.contains(&format!("cannot make {}", place(expected))), "demo: {told}");
        }
        fs::remove_file(place(expected)).unwrap();
    }
    fs::remove_dir_all(&base).ok();
}
