//! `otpost demo`: runs everything on this machine and plays twelve messages through.

mod cast;
mod play;
mod table;
mod screen;
mod closing;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;

use crate::app::{App, Loops, Running};
use crate::commands::bootstrap::{self, Database};
use crate::commands::client::Client;
use crate::commands::connection_file::{ConnectionFile, demo_dir};
use crate::commands::paint::{Paint, length};
use crate::commands::serve::wait_for_signal;
use crate::commands::show::channel_name;
use crate::domain::limits::Mode;
use crate::postgres::PostgresError;
use crate::process;
use crate::simulated;
use crate::simulator::{SimConfig, Simulator};
use crate::store::api_keys;
use crate::telemetry;
use play::{News, Play, REPLACE_AFTER_S};
use screen::Screen;
use table::Look;

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// The demo's app, and the label of its keys.
const APP: &str = "demo";
const LABEL: &str = "made by otpost demo";
/// Interval between two queries of the messages, and between two frames.
const PERIOD: Duration = Duration::from_millis(100);
/// Maximum number of failed queries in a row.
const PATIENCE: u32 = 50;
/// The last fate ends after 20 to 25 s; what has not happened by now will not.
const AT_MOST: Duration = Duration::from_secs(60);
/// Wait for callbacks that are still to come when every phone has what it should have: they must not change it.
const SETTLE: Duration = Duration::from_secs(10);
/// The longest one that fits is shown.
const INTRO: [&str; 3] = [
    "  One code for each of twelve phones: by WhatsApp, and by SMS when WhatsApp fails or is silent for 15 s.",
    "  A code for each phone: by WhatsApp, or by SMS when that fails or is silent.",
    "  WhatsApp first, SMS when that fails or is silent.",
];
const LOG: &str = "otpost.log";

#[derive(clap::Args)]
pub(super) struct Args {
    /// End after the last phone; exit status 0 only if each received what it should have, exactly once.
    #[arg(long)]
    exit: bool,
    /// Folder for the demo's database and its connection file (demo.json); default: `demo` in the default data
    /// directory.
    #[arg(long, env = "OTPOST_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the API listens; default: 127.0.0.1:8080 or, when that is taken, any free port.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Seed of the simulated providers: the same seed gives the same delays.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Everything that runs, in the order in which it was started.
struct Stage {
    data_dir: PathBuf,
    started: Instant,
    simulator: Simulator,
    running: Running,
    connection: ConnectionFile,
    paint: Paint,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    process::forbid_core_dumps();
    process::raise_descriptors();
    let given = args.data_dir.clone().filter(|dir| !dir.as_os_str().is_empty());
    let data_dir = given.map_or_else(demo_dir, Ok)?;
    let data_dir = std::path::absolute(data_dir)?;
    fs::create_dir_all(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
    let listener = listen(args.listen)?;
    let address = listener.local_addr()?;
    let simulator =
        Simulator::start(SimConfig { seed: args.seed, ..SimConfig::default() }, ([127, 0, 0, 1], 0).into())?;
    let mut settings = simulated::settings(&data_dir, address, &simulator.url(), REPLACE_AFTER_S);
    // Whoever tries it out sends to the same phones again and again.
    settings.limits.mode = Mode::Record;
    settings.server.public_url = format!("http://{}", reachable(address));
    for account in &simulated::accounts() {
        let url = simulated::callback_url(&settings.server.public_url, account);
        simulator.set_callback(account, Some(&url))?;
    }
    let database = Database::open(&settings).map_err(|error| explained(error, &data_dir))?;
    start_log(&data_dir)?;
    let means = bootstrap::means(&settings, &database, true)?;
    let runtime = bootstrap::runtime()?;
    let code = runtime.block_on(async {
        let app = App::build(&settings, means).await.with_context(|| {
            let dir = settings.data_dir.display();
            format!("cannot use the demo's folder {dir}: remove it when another version made it, or name another with --data-dir")
        })?;
        let api_key = new_key(&app).await?;
        let running = app.start(listener, Loops::Run)?;
        let connection = ConnectionFile {
            api_url: settings.server.public_url.clone(),
            api_key,
            simulator_url: simulator.url(),
            database_url: database.url.clone(),
        };
        // Polled once before the address is announced, so that a signal is not missed.
        let mut stop = Box::pin(wait_for_signal());
        let _ = futures_util::poll!(&mut stop);
        let stop = tokio::spawn(stop);
        connection.write(&data_dir)?;
        let stage =
            Stage { data_dir: data_dir.clone(), started, simulator, running, connection, paint: Paint::of_stdout() };
        let result = stage.perform(args.exit, stop).await;
        let Stage { running, simulator, .. } = stage;
        // The connection file of a demo that has ended would lead to a closed port.
        let _ = ConnectionFile::remove(&data_dir);
        // The providers stop first: stopping the service waits for their answers, and one of them never answers.
        simulator.stop().await;
        running.stop(false).await;
        result
    })?;
    drop(runtime);
    // Dropped last: its clients are gone by now.
    drop(database);
    Ok(code)
}

fn listen(given: Option<SocketAddr>) -> Result<TcpListener> {
    match (given, TcpListener::bind(given.unwrap_or(LISTEN))) {
        (_, Ok(listener)) => Ok(listener),
        (Some(address), Err(error)) => Err(error).with_context(|| format!("cannot listen on {address}")),
        (None, Err(_)) => TcpListener::bind((LISTEN.ip(), 0)).context("cannot listen on any port"),
    }
}

/// The wildcard address cannot be called.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::new(LISTEN.ip(), address.port()) } else { address }
}

/// The demo always has its own database, so the remedies for a service do not apply here.
fn explained(error: anyhow::Error, data_dir: &Path) -> anyhow::Error {
    match error.downcast_ref::<PostgresError>() {
        Some(PostgresError::NoPrograms) => anyhow::anyhow!(
            "the demo found no PostgreSQL server programs of version 15 or newer to run its own database with: install \
             PostgreSQL (Debian: the package `postgresql`), or set OTPOST_PG_BIN to the folder that holds `initdb` and \
             `postgres`"
        ),
        Some(PostgresError::NotInPgBin(bin)) => anyhow::anyhow!(
            "OTPOST_PG_BIN is {}, which does not hold `initdb` and `postgres` of version 15 or newer: correct it, or unset \
             it and install PostgreSQL (Debian: the package `postgresql`)",
            bin.display()
        ),
        Some(PostgresError::InUse(_)) => anyhow::anyhow!(
            "a demo is running on {}: stop it, or name another folder with --data-dir",
            data_dir.display()
        ),
        _ => error,
    }
}

/// The provoked errors would disturb the table, so the log goes to a file.
fn start_log(data_dir: &Path) -> Result<()> {
    let path = data_dir.join(LOG);
    let file = fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(telemetry::start_in_file(file, "info")?)
}

/// Revokes the keys of earlier demos, which may have been killed before they could.
async fn new_key(app: &App) -> Result<String> {
    let api = &app.api;
    for key in api_keys::list(&api.messages.pool).await? {
        if key.app.as_str() == APP && key.label == LABEL && key.revoked_at.is_none() {
            api_keys::revoke(&api.messages.pool, &key.key_id, app.clock.now()).await?;
        }
    }
    Ok(api.app_keys.create(&APP.parse()?, LABEL).await?.key.expose().to_owned())
}

impl Stage {
    async fn perform(&self, exit: bool, mut stop: JoinHandle<Result<bool>>) -> Result<ExitCode> {
        let played = tokio::select! {
            played = self.play(exit) => played,
            signal = &mut stop => {
                signal??;
                if exit {
                    bail!("stopped before every phone had its code");
                }
                screen::print("stopping");
                return Ok(ExitCode::SUCCESS);
            }
        };
        let is_right = played?;
        if exit {
            return Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        stop.await??;
        screen::print("stopping");
        Ok(ExitCode::SUCCESS)
    }

    fn now(&self) -> DateTime<Utc> {
        self.running.api.clock.now()
    }

    /// Whether all messages ended as expected.
    async fn play(&self, exit: bool) -> Result<bool> {
        let client = Client::new(&self.connection.api_url, &self.connection.api_key)?;
        let began = self.now();
        let set_up = self.started.elapsed();
        let mut play = Play::begin(&client, &self.simulator, began).await?;
        let intro = |width: usize| {
            let text = INTRO.iter().find(|text| text.len() < width).copied().unwrap_or_default();
            [String::new(), self.paint.bold(text), String::new()]
        };
        let mut screen = Screen::open(play.rows.len() + 7);
        if screen.is_none() {
            intro(screen::columns()).iter().for_each(|line| screen::print(line));
        }
        let mut turn = 0;
        let mut failures = 0;
        let started = Instant::now();
        let mut every = tokio::time::interval(PERIOD);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut settled_since: Option<Instant> = None;
        loop {
            every.tick().await;
            // On a busy machine the service may answer that it cannot serve now.
            let news = match play.look().await {
                Err(_) if failures < PATIENCE => {
                    failures += 1;
                    continue;
                }
                looked => looked?,
            };
            failures = 0;
            match &mut screen {
                Some(screen) => {
                    let mut lines = intro(screen.width()).to_vec();
                    lines.extend(self.table(&play, screen.width(), Some(turn)));
                    lines.push(String::new());
                    let done = play.rows.iter().filter(|row| row.is_finished).count();
                    let progress = format!("{done} of 12 done · {:.1} s", started.elapsed().as_secs_f64());
                    lines.push(format!("  {}", self.paint.dim(&progress)));
                    screen.draw(&lines);
                }
                None => news.iter().for_each(|one| self.print_news(one, began)),
            }
            turn += 1;
            // One more query after the last callback.
            if play.is_finished() && self.simulator.pending() == 0 {
                settled_since.get_or_insert_with(Instant::now);
            }
            let has_settled = settled_since.is_some_and(|since| since.elapsed() > 2 * PERIOD);
            let waits_in_vain = play.is_finished() && started.elapsed() > AT_MOST - SETTLE;
            if has_settled || waits_in_vain || started.elapsed() > AT_MOST {
                break;
            }
        }
        let lasted = started.elapsed();
        match &mut screen {
            Some(screen) => {
                let mut lines = intro(screen.width()).to_vec();
                lines.extend(self.table(&play, screen.width(), None));
                screen.draw(&lines);
            }
            None => {
                screen::print("");
                self.table(&play, screen::columns(), None).iter().for_each(|line| screen::print(line.trim_end()));
            }
        }
        drop(screen);
        let differences = play.differences();
        closing::verdict(self.paint, &differences, set_up, lasted);
        if !exit {
            closing::connection(self.paint, &self.data_dir, &self.connection, &play);
        }
        Ok(differences.is_empty())
    }

    fn table(&self, play: &Play<'_>, width: usize, turn: Option<usize>) -> Vec<String> {
        let look = Look { width: width.saturating_sub(2), paint: self.paint, now: self.now(), turn };
        table::lines(&play.rows, look).into_iter().map(|line| format!("  {line}")).collect()
    }

    fn print_news(&self, news: &News, began: DateTime<Utc>) {
        if !play::is_worth_a_line(&news.entry) {
            return;
        }
        let at = (news.entry.at - began).num_milliseconds() as f64 / 1000.0;
        let channel = news.channel.map_or("", channel_name);
        // The route is the same for all.
        let text = news.entry.text.split("; route").next().unwrap_or_default();
        let late = news.entry.lateness_ms.map(|ms| format!(", {} after it was due", length(ms))).unwrap_or_default();
        screen::print(&format!("{at:8.3} s  {:9}  {channel:8}  {text}{late}", news.to));
    }
}
