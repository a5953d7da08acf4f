//! The proxies with the shipped files, in front of instances on this machine.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{filled_in, folder};
use crate::helpers::program::Fixture;
use crate::helpers::tools;

/// Ends with the test.
pub(super) struct Front {
    child: Child,
    dir: PathBuf,
    /// The address for providers.
    pub public: String,
    /// The address for apps.
    pub internal: String,
}

/// Chosen before it starts, because settings name its addresses.
pub(super) struct Ports {
    public: u16,
    internal: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Nginx,
    Caddy,
    /// Caddy with the file of `deploy/compose/`, which has no internal address: the first instance's own address is
    /// used.
    Compose,
}

impl Ports {
    pub(super) fn free() -> Self {
        Self { public: Fixture::free_port(), internal: Fixture::free_port() }
    }

    pub(super) fn public_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.public)
    }
}

impl Front {
    /// `None` where the program is missing.
    pub(super) async fn start(which: Which, ports: Ports, instances: &[u16]) -> Option<Self> {
        let program = tools::program(if which == Which::Nginx { "nginx" } else { "caddy" })?;
        let dir = folder(&format!("front-{}", ports.public));
        let mut command = Command::new(program);
        match which {
            Which::Nginx => {
                fs::write(dir.join("otpost.conf"), nginx(&dir, &ports, instances)).expect("a file");
                let main = nginx_main(&dir);
                fs::write(dir.join("nginx.conf"), main).expect("a file");
                command.arg("-c").arg(dir.join("nginx.conf"));
            }
            Which::Caddy | Which::Compose => {
                let text = if which == Which::Caddy { caddy(&ports, instances) } else { compose(&ports, instances) };
                // Its first block is the global one.
                let text = text.replacen("\n{\n", "\n{\n\tadmin off\n", 1);
                assert!(text.contains("admin off"));
                fs::write(dir.join("Caddyfile"), text).expect("a file");
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(dir.join("Caddyfile"));
                command.env("HOME", &dir).env("XDG_DATA_HOME", &dir).env("XDG_CONFIG_HOME", &dir);
            }
        }
        let log = fs::File::create(dir.join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("one more")).stderr(log);
        let child = command.spawn().expect("the proxy starts");
        let internal = if which == Which::Compose { instances[0] } else { ports.internal };
        let front = Self { child, dir, public: ports.public_url(), internal: format!("http://127.0.0.1:{internal}") };
        let began = Instant::now();
        while !front.is_up().await {
            assert!(began.elapsed() < Duration::from_secs(30), "{}", front.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(front)
    }

    /// Whether both addresses answer, and callbacks reach an instance.
    async fn is_up(&self) -> bool {
        let status = async |url: String| reqwest::get(url).await.ok().map(|answer| answer.status().as_u16());
        status(format!("{}/healthz", self.internal)).await == Some(200)
            && status(format!("{}/webhooks/nobody", self.public)).await == Some(404)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Everything that it wrote, with the name of each file.
    pub(super) fn written(&self) -> Vec<(String, String)> {
        let files = fs::read_dir(&self.dir).expect("its folder").flatten().filter(|file| file.path().is_file());
        let read = |file: fs::DirEntry| {
            let bytes = fs::read(file.path()).unwrap_or_default();
            (file.file_name().to_string_lossy().into_owned(), String::from_utf8_lossy(&bytes).into_owned())
        };
        files.map(read).collect()
    }

    /// A connection to the public address; `ask` sends on it byte for byte.
    pub(super) async fn connect(url: &str) -> TcpStream {
        TcpStream::connect(url.strip_prefix("http://").expect("an address")).await.expect("it takes connections")
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// Sends a GET for `path` as it stands, and reads the whole answer. The connection stays open.
pub(super) async fn ask(connection: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", connection.peer_addr().expect("it is open"));
    connection.write_all(request.as_bytes()).await.expect("it is open");
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let n = connection.read(&mut part).await.expect("it is open");
        answer.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(n > 0, "{path}: {text}");
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        if length.is_none_or(|length| body.len() >= length) || n == 0 {
            return text;
        }
    }
}

fn nginx(dir: &std::path::Path, ports: &Ports, instances: &[u16]) -> String {
    let changes = [
        ("listen 443 ssl;", format!("listen 127.0.0.1:{};", ports.public)),
        ("<otp.example.com>", "127.0.0.1".to_owned()),
        ("<10.0.0.5:8081>", format!("127.0.0.1:{}", ports.internal)),
        ("/var/log/nginx/otpost.log", dir.join("access").display().to_string()),
    ];
    let text = filled_in("nginx/otpost.conf", &changes);
    let mut lines = Vec::new();
    for line in text.lines() {
        // The certificate is provided by the operator.
        if line.contains("ssl_certificate") {
            continue;
        }
        if line.contains("server 127.0.0.1:8080 ") {
            lines.extend(instances.iter().map(|port| line.replace("8080", &port.to_string())));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}

/// The rest of Debian's nginx.conf around the file, without a daemon.
fn nginx_main(dir: &std::path::Path) -> String {
    let at = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {at}/{what};\n"))
        .concat();
    format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr;\nevents {{ }}\nhttp {{\n{temporary}\
         include {at}/otpost.conf;\n}}\n"
    )
}

fn caddy(ports: &Ports, instances: &[u16]) -> String {
    let all: Vec<String> = instances.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let changes = [
        ("to 127.0.0.1:8080", format!("to {}", all.join(" "))),
        ("http://<10.0.0.5:8081>", format!("http://127.0.0.1:{}", ports.internal)),
        ("<otp.example.com>", ports.public_url()),
    ];
    filled_in("caddy/Caddyfile", &changes)
}

fn compose(ports: &Ports, instances: &[u16]) -> String {
    let changes = [("otpost:8080", format!("127.0.0.1:{}", instances[0])), ("otp.example.com", ports.public_url())];
    filled_in("compose/Caddyfile", &changes)
}
