//! `otpost limits`: what an attacker can cost at most, and what operators allow and block.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::commands::exit::Exit;
use crate::commands::{audit, bootstrap, terminal};
use crate::config::Settings;
use crate::domain::app_id::AppId;
use crate::domain::audit::AuditAction;
use crate::domain::channel::Channel;
use crate::domain::limits::{Counter, LimitRule, Mode};
use crate::domain::phone::is_country;
use crate::domain::price::Price;
use crate::domain::pumping::{Bound, Ceiling, Exception, Exposure, SmsRule, ceilings};
use crate::services::limits::sms_guard::EVERY_APP;
use crate::store::database::Database;
use crate::store::sms_exceptions::{self, StoredException};
use crate::store::sms_records::RecordKey;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<LimitsCommand>,
}

#[derive(clap::Subcommand)]
enum LimitsCommand {
    /// Prints the most that an attacker can make the service send, for the settings as they are (the default).
    Show {
        /// With the limits of this app.
        #[arg(long, default_value = "default")]
        app: String,
        /// With the limits of this purpose.
        #[arg(long, default_value = "login")]
        purpose: String,
    },
    /// Lists what is allowed and blocked.
    List,
    /// Lets the SMS of a range of numbers or of a country pass every rule for a time.
    Allow(Decision),
    /// Lets no SMS to a range of numbers or a country leave for a time. WhatsApp stays open.
    Block(Decision),
    /// Removes what was allowed or blocked.
    Remove {
        /// As in `allow`.
        key: String,
        /// As in `allow`.
        #[arg(long)]
        app: Option<String>,
    },
}

#[derive(clap::Args)]
struct Decision {
    /// A country in two letters (ID), or a number without its last four digits (+62812345).
    key: String,
    /// For people who read the list later.
    #[arg(long)]
    reason: String,
    /// Hours until it ends, 1 to 8760.
    #[arg(long = "for-h", value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760))]
    hours: u32,
    /// Only for this app; default: for all.
    #[arg(long)]
    app: Option<String>,
}

pub(super) fn run(config: Option<&Path>, args: Args) -> Result<ExitCode> {
    let settings = bootstrap::settings(config)?;
    let command = match args.command {
        None => return show(&settings, &"default".parse()?, "login"),
        Some(LimitsCommand::Show { app, purpose }) => {
            if !settings.purposes.contains_key(&purpose) {
                bail!("there is no purpose {purpose}");
            }
            return show(&settings, &app.parse()?, &purpose);
        }
        Some(command) => command,
    };
    let database = bootstrap::Database::join(config, &settings)?;
    bootstrap::runtime()?.block_on(async {
        let pool = database.connect("otpost limits").await?;
        let clock = Clock::live(&pool).await?;
        let now = clock.now();
        match command {
            LimitsCommand::Show { .. } | LimitsCommand::List => {
                list(&sms_exceptions::valid(&mut pool.acquire().await?, now).await?, now);
            }
            LimitsCommand::Allow(decision) => put(&pool, &clock, Exception::Allow, decision).await?,
            LimitsCommand::Block(decision) => put(&pool, &clock, Exception::Block, decision).await?,
            LimitsCommand::Remove { key, app } => {
                let key = record_key(&key, app.as_deref())?;
                if !sms_exceptions::remove(&pool, &key).await? {
                    terminal::say(&format!("otpost: nothing is allowed or blocked for {}", key.key));
                    return Ok(Exit::Nowhere.into());
                }
                let object = format!("{} {} of app {}", key.counter, key.key, key.app);
                audit::record(&pool, &clock, AuditAction::SmsDecided, &object, "").await?;
                terminal::print(&format!("{} {}: removed; the rules decide again", key.counter, key.key));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn put(pool: &Database, clock: &Clock, decision: Exception, given: Decision) -> Result<()> {
    let Decision { key, reason, hours, app } = given;
    if reason.is_empty() || reason.chars().count() > 200 || reason.chars().any(char::is_control) {
        bail!("--reason must be 1 to 200 characters without control characters");
    }
    let key = record_key(&key, app.as_deref())?;
    let now = clock.now();
    let until = now + TimeDelta::hours(i64::from(hours));
    let what = match decision {
        Exception::Allow => "no rule refuses its SMS",
        Exception::Block => "it gets no SMS",
    };
    let told = format!("{} {}: {what} until {}", key.counter, key.key, until.format("%F %H:%M UTC"));
    let action = match decision {
        Exception::Allow => AuditAction::SmsAllowed,
        Exception::Block => AuditAction::SmsBlocked,
    };
    audit::record(
        pool,
        clock,
        action,
        &format!("{} {} of app {} for {hours} h", key.counter, key.key, key.app),
        &reason,
    )
    .await?;
    sms_exceptions::put(pool, &StoredException { key, decision, reason, until, created_at: now }).await?;
    terminal::print(&told);
    Ok(())
}

fn record_key(text: &str, app: Option<&str>) -> Result<RecordKey> {
    let app = match app {
        Some(app) => app.parse::<AppId>()?,
        None => AppId::stored(EVERY_APP),
    };
    let country = text.to_ascii_uppercase();
    if is_country(&country) {
        return Ok(RecordKey { app, counter: Counter::Country, key: country });
    }
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
    let is_prefix = digits.strip_prefix('+').is_some_and(|rest| {
        (3..=11).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit()) && !rest.starts_with('0')
    });
    if !is_prefix {
        bail!(
            "{text:?} is neither a country in two letters nor a number without its last four digits, such as +62812345"
        );
    }
    Ok(RecordKey { app, counter: Counter::Prefix, key: digits })
}

fn list(exceptions: &[StoredException], now: DateTime<Utc>) {
    if exceptions.is_empty() {
        terminal::print("nothing is allowed or blocked: the rules decide");
        return;
    }
    terminal::print(&format!("{:7}  {:8}  {:12}  {:10}  {:>7}  reason", "what", "counter", "key", "app", "hours"));
    for StoredException { key, decision, reason, until, .. } in exceptions {
        let app = if key.app.as_str() == EVERY_APP { "all" } else { key.app.as_str() };
        let hours = (*until - now).num_minutes() as f64 / 60.0;
        let row = format!("{decision:7}  {:8}  {:12}  {app:10}  {hours:7.1}  {reason}", key.counter, key.key);
        terminal::print(row.trim_end());
    }
}

fn show(settings: &Settings, app: &AppId, purpose: &str) -> Result<ExitCode> {
    let limits = settings.limits.of(app, purpose);
    let rules = &settings.pumping.rules;
    let sms_steps = |options: &crate::config::RouteOptions| {
        let pools = options.steps.iter().filter_map(|step| settings.pool(step));
        pools.filter(|pool| pool.channel == Channel::Sms).map(|pool| pool.accounts.len()).sum::<usize>()
    };
    let routes = settings.routes.values().map(|route| &route.options).chain([&settings.route.options]);
    let sms_per_message = routes.map(sms_steps).max().unwrap_or(0) as i64;
    let prices = settings.sms_prices();
    let known: Vec<&Price> = prices.iter().flatten().collect();
    let is_known = !known.is_empty() && known.len() == prices.len();
    let least = if is_known { known.iter().map(|price| price.micros).min().unwrap_or(0) } else { 0 };
    let exposure = Exposure {
        limits: &limits,
        limits_mode: settings.limits.mode,
        rules,
        sms_per_message: sms_per_message.max(1),
        least_price_micros: least,
    };
    let dearest = known.iter().filter(|_| is_known).max_by_key(|price| price.micros).copied();
    terminal::print(&format!("app {app}, purpose {purpose}: the most SMS that an attacker gets"));
    terminal::print("");
    terminal::print(&format!("{:9}  {:15}  {:>10}  {:>14}  bounded by", "for each", "", "SMS", "cost"));
    for Ceiling { counter, unverified, any } in ceilings(&exposure) {
        let rows = [
            ("no code, 1 h", unverified[0]),
            ("no code, 24 h", unverified[1]),
            ("any, 1 h", any[0]),
            ("any, 24 h", any[1]),
        ];
        for (i, (what, bound)) in rows.into_iter().enumerate() {
            let name = if i == 0 { counter.to_string() } else { String::new() };
            let row = match bound {
                Some(Bound { sms, rule }) => {
                    let cost = dearest.map_or("?".to_owned(), |price| cost(price, sms));
                    format!("{name:9}  {what:15}  {sms:>10}  {cost:>14}  {rule}")
                }
                None => format!("{name:9}  {what:15}  {:>10}  {:>14}  {}", "no bound", "", remedy(counter)),
            };
            terminal::print(&row);
        }
    }
    terminal::print("");
    terminal::print(
        "\"no code\": nobody enters the codes, as with most pumps. \"any\": whatever the attacker does, also with numbers of their \
         own. Only limits and rules in mode \"enforce\" count.",
    );
    for line in notes(settings, is_known) {
        terminal::print(&line);
    }
    Ok(ExitCode::SUCCESS)
}

fn cost(price: &Price, sms: i64) -> String {
    let whole = Price { micros: price.micros.saturating_mul(sms) / 10_000 * 10_000, currency: price.currency.clone() };
    whole.to_string()
}

fn remedy(counter: Counter) -> &'static str {
    match counter {
        Counter::Country => "set limits.country_per_hour or pumping.country_cap_per_day",
        Counter::Prefix => "set limits.prefix_per_hour",
        Counter::App => "set limits.app_per_hour or pumping.app_cap_per_day",
        _ => "set limits.number_per_hour",
    }
}

/// What weakens the bounds.
fn notes(settings: &Settings, is_known: bool) -> Vec<String> {
    let rules = &settings.pumping.rules;
    let mut notes = Vec::new();
    if settings.limits.mode != Mode::Enforce {
        notes.push(format!("note: limits.mode is \"{}\": no limit of [limits] refuses anything", settings.limits.mode));
    }
    let recorded: Vec<&str> =
        SmsRule::ALL.iter().filter(|rule| rules.mode(**rule) == Mode::Record).map(|rule| rule.as_str()).collect();
    if !recorded.is_empty() {
        notes.push(format!(
            "note: these rules only record: {}. Set pumping.mode = \"enforce\" once sms_decisions shows nothing wrong",
            recorded.join(", ")
        ));
    }
    if rules.countries.is_none() {
        notes.push("note: SMS leave to every country; pumping.sms_countries lists those that you serve".to_owned());
    }
    if !is_known {
        notes.push(
            "note: an SMS account has no price, so the cost is unknown and a money cap bounds nothing".to_owned(),
        );
    }
    if settings.limits.usual.of(LimitRule::NumberSpacing) == 0 {
        notes.push("note: limits.number_spacing_s is 0: one number gets its messages at once".to_owned());
    }
    notes
}
