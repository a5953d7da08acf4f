//! The files for Docker and Kubernetes name only existing things.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use otpost::simulator::SimConfig;
use yaml_rust2::{Yaml, YamlLoader};

use super::{deploy, folder, otpost, yaml};
use crate::helpers::program::{CODE_KEY, Fixture, How};

fn words(list: &Yaml) -> Vec<&str> {
    list.as_vec().unwrap_or_else(|| panic!("{list:?}")).iter().map(|word| word.as_str().unwrap()).collect()
}

/// Whether the program accepts these arguments. A final `--help` keeps it from doing anything.
fn are_known(arguments: &[&str]) {
    let help = otpost(&[arguments, &["--help"]].concat());
    assert!(help.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&help.stderr));
}

/// What `otpost config check` says to settings whose secrets are files.
fn check_settings(name: &str, settings: &str, secrets: &str, environment: &[(String, String)]) {
    let dir = folder(name);
    let texts = std::iter::once(settings).chain(environment.iter().map(|(_, value)| value.as_str()));
    for name in texts.flat_map(|text| text.split(secrets).skip(1)) {
        let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        let is_database = name.starts_with("database");
        let secret = if is_database { "postgres://otpost:a-password@postgres/otpost" } else { CODE_KEY };
        fs::write(dir.join(name), format!("{secret}\n")).unwrap();
    }
    let here = |text: &str| text.replace(secrets, &format!("{}/", dir.display()));
    fs::write(dir.join("otpost.toml"), here(settings)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_otpost"));
    command.args(["config", "check", "--config"]).arg(dir.join("otpost.toml")).env_remove("DATABASE_URL");
    command.envs(environment.iter().map(|(name, value)| (name, here(value))));
    let checked = command.stdin(Stdio::null()).output().unwrap();
    fs::remove_dir_all(&dir).ok();
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{name}: {told}");
    assert!(!told.contains("has no SMS step"), "an example to copy has what otpost is for: {name}: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compose_and_kubernetes_name_what_the_program_has() {
    let fixture = Fixture::new(SimConfig::default()).await;
    let port = Fixture::free_port();
    let program = fixture.start(port, &How::default()).await;

    let compose = &yaml("compose/docker-compose.yml")[0];
    let service = &compose["services"]["otpost"];
    are_known(&words(&service["command"]));
    let variables = service["environment"].as_hash().unwrap().iter();
    let variables: Vec<(String, String)> =
        variables.map(|(k, v)| (k.as_str().unwrap().to_owned(), v.as_str().unwrap().to_owned())).collect();
    check_settings("compose", &deploy("compose/otpost.toml"), "/run/secrets/", &variables);
    for secret in words(&service["secrets"]).into_iter().chain(words(&compose["services"]["postgres"]["secrets"])) {
        assert!(!compose["secrets"][secret].is_badvalue(), "{secret}");
    }
    let root = include_str!("../../../docker-compose.yml");
    let to_try = &YamlLoader::load_from_str(root).unwrap()[0]["services"];
    for postgres in [&compose["services"]["postgres"], &to_try["postgres"]] {
        let command = words(&postgres["command"]).join(" ");
        assert!(command.contains("log_min_error_statement=panic") && command.contains("log_error_verbosity=terse"));
    }
    are_known(&words(&to_try["otpost"]["command"]));
    are_known(&words(&to_try["simulator"]["command"]));
    assert_eq!(to_try["otpost"]["healthcheck"], service["healthcheck"]);
    // The health check itself, against an instance that is ready and against none.
    let check = words(&service["healthcheck"]["test"]);
    assert_eq!(&check[..3], ["CMD", "bash", "-c"]);
    let is_well = |port: u16| {
        let script = check[3].replace("8080", &port.to_string());
        Command::new("bash").args(["-c", &script]).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(is_well(port) && !is_well(Fixture::free_port()));

    let all = yaml("kubernetes/otpost.yaml");
    let kind =
        |kind: &str| all.iter().find(|one| one["kind"].as_str() == Some(kind)).unwrap_or_else(|| panic!("{kind}"));
    let pod = &kind("Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["enableServiceLinks"].as_bool(), Some(false), "a Service's variables would look like settings");
    let (migrate, serve) = (&pod["initContainers"][0], &pod["containers"][0]);
    are_known(&words(&migrate["args"]));
    are_known(&words(&serve["args"]));
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = serve[probe]["httpGet"]["path"].as_str().unwrap();
        assert_eq!(reqwest::get(format!("{}{path}", program.url())).await.unwrap().status(), 200, "{path}");
    }
    let variables = serve["env"].as_vec().unwrap().iter();
    let variables: Vec<(String, String)> = variables
        .map(|one| (one["name"].as_str().unwrap().to_owned(), one["value"].as_str().unwrap().to_owned()))
        .collect();
    let settings = kind("ConfigMap")["data"]["otpost.toml"].as_str().unwrap();
    check_settings("kubernetes", settings, "/run/secrets/otpost/", &variables);
    // Every file that is named is a key of the Secret.
    let secrets = &kind("Secret")["stringData"];
    let named = variables.iter().map(|(_, value)| value.as_str()).chain(settings.lines());
    for place in named.filter_map(|text| text.split_once("/run/secrets/otpost/")) {
        let name: String = place.1.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        assert!(!secrets[name.as_str()].is_badvalue(), "{name}");
    }
    // It is not killed before it has ended by itself: the linger time, then twice the time for work in progress.
    let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    let linger: i64 = settings.lines().find_map(|l| l.strip_prefix("linger_s = ")).unwrap().parse().unwrap();
    let probe = &serve["readinessProbe"];
    let noticed = probe["periodSeconds"].as_i64().unwrap() * (probe["failureThreshold"].as_i64().unwrap() + 1);
    assert!(grace >= linger + 50 && linger > noticed, "{grace} {linger} {noticed}");
    assert_eq!(kind("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["path"].as_str(), Some("/webhooks/"));
    let labels = &kind("Deployment")["spec"]["template"]["metadata"]["labels"];
    for selector in [
        &kind("Service")["spec"]["selector"],
        &kind("Deployment")["spec"]["selector"]["matchLabels"],
        &kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    drop(program);
    fixture.stop().await;
}

/// The first lines of the compose file, up to Docker's own commands.
#[test]
fn the_printed_steps_of_compose_make_every_secret_that_it_mounts() {
    let dir = folder("compose-secrets");
    let text = deploy("compose/docker-compose.yml");
    let steps = text.lines().map_while(|line| line.strip_prefix('#')).filter_map(|line| line.strip_prefix("   "));
    let steps: Vec<&str> = steps.take_while(|line| !line.starts_with("docker ")).collect();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &steps.join("\n")]).current_dir(&dir).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&b"a-secret-of-the-provider\n".repeat(9)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let declared = yaml("compose/docker-compose.yml");
    let declared = declared[0]["secrets"].as_hash().unwrap();
    assert!(declared.len() >= 8);
    for (name, secret) in declared {
        let file = dir.join(secret["file"].as_str().unwrap());
        assert!(fs::read_to_string(&file).is_ok_and(|text| text.trim().len() >= 16), "{name:?}: {}", file.display());
    }
    let url = fs::read_to_string(dir.join("secrets/database_url")).unwrap();
    assert!(url.ends_with("@postgres/otpost") && url.matches(':').count() == 2, "the password is in the address");
    fs::remove_dir_all(&dir).ok();
}
