//! Sends the twelve messages through the API, and acts as the person who reads a phone and enters the code.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;

use super::cast::{FATES, Fate, Person};
use crate::api::checks::CheckAnswer;
use crate::api::messages::{Message, MessageList};
use crate::api::operations::Operation;
use crate::api::requests::{CheckRequest, MessageRequest};
use crate::api::timeline::{Entry, Timeline};
use crate::api::words::EventKind;
use crate::commands::client::Client;
use crate::domain::attempt::State;
use crate::domain::channel::Channel;
use crate::domain::ids::AttemptId;
use crate::simulator::{SeenMessage, Simulator};

/// The minimum setting, so that the demo is short.
pub(super) const REPLACE_AFTER_S: i16 = 15;
/// Time from the code on the handset to the code in the app, for a quick person.
const TYPING: Duration = Duration::from_millis(1_500);
/// Interval between two messages at the start.
const APART: Duration = Duration::from_millis(50);
/// Number of a phone's messages read from the simulator; a phone of the demo gets two or three.
const LOOK_BACK: usize = 64;

/// One phone's part.
pub(super) struct Row {
    pub fate: &'static Fate,
    pub id: String,
    /// The recipient, masked.
    pub to: String,
    /// Duration of `POST /v1/messages`.
    pub posted_ms: f64,
    pub story: Option<Timeline>,
    /// When the code was first seen on the handset.
    read_at: Option<Instant>,
    has_mistyped: bool,
    has_typed: bool,
    pub is_finished: bool,
}

/// What the handset really received of this message.
#[derive(Default)]
pub(super) struct Handset {
    pub whatsapp: usize,
    pub sms: usize,
    pub code: Option<String>,
}

pub(super) struct Play<'a> {
    client: &'a Client,
    simulator: &'a Simulator,
    /// Distinguishes this run's messages from earlier ones in the same database.
    reference: String,
    pub rows: Vec<Row>,
}

/// A new entry in a message's timeline.
pub(super) struct News {
    pub to: String,
    /// Of the attempt that it happened to.
    pub channel: Option<Channel>,
    pub entry: Entry,
}

impl<'a> Play<'a> {
    /// Sends all messages at once.
    ///
    /// # Errors
    /// When the service refuses one.
    pub(super) async fn begin(client: &'a Client, simulator: &'a Simulator, now: DateTime<Utc>) -> Result<Self> {
        let reference = format!("demo {}", now.format("%F %T%.3f"));
        let post = async |(place, fate): (u32, &'static Fate)| {
            tokio::time::sleep(APART * place).await;
            let started = Instant::now();
            let metadata = BTreeMap::from([("fate", fate.digits()), ("whatsapp", fate.words)]);
            let asked = MessageRequest {
                to: fate.number.to_owned(),
                replace_after_s: Some(i64::from(REPLACE_AFTER_S)),
                reference: Some(reference.clone()),
                metadata: Some(serde_json::value::to_raw_value(&metadata)?),
                ..MessageRequest::default()
            };
            let message: Message = client.post(Operation::SendMessage.path(), &asked).await?;
            anyhow::Ok(Row {
                fate,
                id: message.id,
                to: message.to,
                posted_ms: started.elapsed().as_secs_f64() * 1000.0,
                story: None,
                read_at: None,
                has_mistyped: false,
                has_typed: false,
                is_finished: false,
            })
        };
        let rows = join_all((0..).zip(&FATES).map(post)).await.into_iter().collect::<Result<Vec<Row>>>()?;
        Ok(Self { client, simulator, reference, rows })
    }

    /// Reads every message once, and enters codes that are due. Returns what is new, in order.
    ///
    /// # Errors
    /// When the service does not answer.
    pub(super) async fn look(&mut self) -> Result<Vec<News>> {
        let mut query = reqwest::Url::parse("http://x/?limit=50")?;
        query.query_pairs_mut().append_pair("reference", &self.reference);
        let page: MessageList = self
            .client
            .get(&format!("{}?{}", Operation::ListMessages.path(), query.query().unwrap_or_default()))
            .await?;
        let mut messages: HashMap<String, Message> = page.messages.into_iter().map(|m| (m.id.clone(), m)).collect();
        let mut news = Vec::new();
        for index in 0..self.rows.len() {
            if let Some(message) = messages.remove(&self.rows[index].id) {
                self.update(index, &message, &mut news).await?;
            }
            self.act(index).await?;
        }
        news.sort_by_key(|n| n.entry.at);
        Ok(news)
    }

    async fn update(&mut self, index: usize, message: &Message, news: &mut Vec<News>) -> Result<()> {
        let row = &mut self.rows[index];
        if row.story.as_ref().is_some_and(|story| story.message == *message) {
            return Ok(());
        }
        let story: Timeline = self.client.get(&Operation::GetTimeline.of_message(&row.id)).await?;
        let known = row.story.as_ref().map_or(&[][..], |story| &story.timeline);
        for entry in story.timeline.iter().filter(|entry| !known.contains(entry)) {
            let attempt = story.message.attempts.iter().find(|a| Some(a.attempt_no) == entry.attempt_no);
            let channel = attempt.map(|a| a.channel);
            news.push(News { to: row.to.clone(), channel, entry: entry.clone() });
        }
        row.story = Some(story);
        Ok(())
    }

    /// The person: enters the code a little after it arrived, and not before the service knows that it arrived.
    async fn act(&mut self, index: usize) -> Result<()> {
        let handset = self.handset(&self.rows[index]);
        let row = &mut self.rows[index];
        row.is_finished = row.is_as_it_should_be(&handset);
        let is_delivered = row.story.as_ref().is_some_and(|story| story.message.state == State::Delivered);
        let Some(code) = handset.code.filter(|_| is_delivered && !row.has_typed && row.fate.person != Person::Leaves)
        else {
            return Ok(());
        };
        if row.read_at.get_or_insert_with(Instant::now).elapsed() < TYPING {
            return Ok(());
        }
        let path = Operation::CheckCode.of_message(&row.id);
        if row.fate.person == Person::Mistypes && !row.has_mistyped {
            // Right except for the first digit.
            let first = if code.starts_with('0') { '1' } else { '0' };
            let wrong: String = std::iter::once(first).chain(code.chars().skip(1)).collect();
            let _: CheckAnswer = self.client.post(&path, &CheckRequest { code: wrong.into() }).await?;
            row.has_mistyped = true;
            row.read_at = Some(Instant::now());
        } else {
            let _: CheckAnswer = self.client.post(&path, &CheckRequest { code: code.into() }).await?;
            row.has_typed = true;
        }
        Ok(())
    }

    /// What the simulator delivered to the handset for this message.
    pub(super) fn handset(&self, row: &Row) -> Handset {
        let is_this = |seen: &&SeenMessage| {
            let attempt = seen.reference.as_deref().and_then(AttemptId::parse);
            attempt.is_some_and(|id| id.message().to_string() == row.id)
        };
        let mut handset = Handset::default();
        let seen = self.simulator.messages(Some(row.fate.number), LOOK_BACK);
        for message in seen.iter().filter(is_this).filter(|seen| seen.handset_at.is_some()) {
            match message.channel {
                Channel::Whatsapp => handset.whatsapp += 1,
                Channel::Sms => handset.sms += 1,
            }
            handset.code.clone_from(&message.code);
        }
        handset
    }

    pub(super) fn is_finished(&self) -> bool {
        self.rows.iter().all(|row| row.is_finished)
    }

    /// Every difference from what was expected, a sentence each.
    pub(super) fn differences(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.rows.iter().flat_map(|row| row.differences(&self.handset(row))).collect();
        let repeated = self.simulator.stats().handset_repeated;
        let repeated = repeated.whatsapp + repeated.sms;
        if repeated > 0 {
            wrong.push(format!("{repeated} codes came to a phone twice on the same channel"));
        }
        wrong
    }

    /// A delivered message whose code was not checked, with its code: to try a check with.
    pub(super) fn left_alone(&self) -> Option<(String, String)> {
        let row = self
            .rows
            .iter()
            .find(|row| row.is_finished && row.fate.person == Person::Leaves && row.fate.state == State::Delivered)?;
        Some((row.id.clone(), self.handset(row).code?))
    }
}

impl Row {
    fn is_as_it_should_be(&self, handset: &Handset) -> bool {
        self.differences(handset).is_empty()
    }

    fn differences(&self, handset: &Handset) -> Vec<String> {
        let fate = self.fate;
        let name = format!("{} ({}, WhatsApp {})", self.to, fate.digits(), fate.words);
        let Some(Timeline { message, .. }) = &self.story else {
            return vec![format!("{name}: never seen in the list")];
        };
        let mut wrong = Vec::new();
        let mut compare = |what: &str, is: &str, should: &str| {
            if is != should {
                wrong.push(format!("{name}: {what} is {is} and should be {should}"));
            }
        };
        compare("state", message.state.as_str(), fate.state.as_str());
        compare("outcome", message.outcome.as_str(), fate.outcome().as_str());
        let count = |n: usize| n.to_string();
        compare("number of WhatsApp messages on the phone", &count(handset.whatsapp), &count(fate.whatsapp));
        compare("number of SMS on the phone", &count(handset.sms), &count(fate.sms));
        let delivered = message.attempts.iter().filter(|a| a.delivered_at.is_some() || a.read_at.is_some()).count();
        compare("number of delivered attempts", &count(delivered), &count(fate.whatsapp + fate.sms));
        wrong
    }
}

/// Whether an entry is worth showing live; the end of a timer makes its beginning redundant.
pub(super) fn is_worth_a_line(entry: &Entry) -> bool {
    entry.event != EventKind::TimerArmed
        && entry.event != EventKind::TimerDisarmed
        && !(entry.event == EventKind::Planned && entry.attempt_no == Some(1))
}
