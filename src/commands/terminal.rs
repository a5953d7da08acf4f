//! Output for people: lines are wrapped between words at the width of their terminal.

use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Narrower terminals are not wrapped here.
const NARROWEST: usize = 30;
/// Indentation of the rest of a wrapped line.
const HANG: usize = 4;

/// Columns of a terminal; `None` when the stream is a file or a pipe.
pub(super) fn columns<S: AsFd + IsTerminal>(stream: &S) -> Option<usize> {
    let size = stream.is_terminal().then(|| rustix::termios::tcgetwinsize(stream))?;
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns >= NARROWEST)
}

/// Wraps one line between words; following lines are indented by `indent`. Words longer than `columns` stay whole, and
/// colour codes have no width.
pub(super) fn fold_line(line: &str, columns: usize, indent: usize) -> String {
    let indent = " ".repeat(indent.min(columns / 2));
    let options = textwrap::Options::new(columns)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(line, options).join("\n")
}

/// Wraps each line of a text between words; the rest of a line is indented further than its beginning.
pub(super) fn fold(text: &str, columns: usize) -> String {
    let own = |line: &str| line.len() - line.trim_start_matches(' ').len();
    text.split('\n').map(|line| fold_line(line, columns, own(line) + HANG)).collect::<Vec<_>>().join("\n")
}

/// To standard error, for people.
pub(super) fn say(text: &str) {
    let _ = write(stderr(), text);
}

/// A line to standard error, never wrapped: a command to copy.
pub(super) fn say_as_it_is(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// To standard output, for people. A reader that has gone is not an error; see [`lost`] for other errors.
pub(super) fn print(text: &str) {
    remember(try_print(text));
}

/// The same, for callers that need the result.
///
/// # Errors
/// When the reader has gone, or the disk is full.
pub(super) fn try_print(text: &str) -> io::Result<()> {
    write(stdout(), text)
}

fn write(mut stream: impl Write + AsFd + IsTerminal, text: &str) -> io::Result<()> {
    let folded = columns(&stream).map(|columns| fold(text, columns));
    writeln!(stream, "{}", folded.as_deref().unwrap_or(text))?;
    stream.flush()
}

/// A line to standard output, never wrapped: for programs.
///
/// # Errors
/// As [`try_print`].
pub(super) fn try_print_as_it_is(line: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Whether the reader of standard output has gone. A command that waits for events learns it only here: `head -n 1`
/// reads one line and exits.
pub(super) fn reader_is_gone() -> bool {
    let out = stdout();
    // No events are requested: errors are always reported.
    let mut watched = [PollFd::new(&out, PollFlags::empty())];
    matches!(poll(&mut watched, Some(&Timespec::default())), Ok(1..)) && watched[0].revents().contains(PollFlags::ERR)
}

/// To standard output, already wrapped.
pub(super) fn print_as_it_is(text: &str) {
    remember(try_print_as_it_is(text.strip_suffix('\n').unwrap_or(text)));
}

/// To standard output, for programs: a value as one line of JSON. A reader that has gone is not an error.
pub(super) fn print_json(value: &impl serde::Serialize) {
    let text = serde_json::to_string(value).expect("plain data has a JSON form");
    print_as_it_is(&text);
}

/// Why something was not written to standard output.
static LOST: Mutex<Option<String>> = Mutex::new(None);

fn remember(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        LOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error.to_string());
    }
}

/// Why printed output was lost, for example on a full disk. `None` also when the reader had gone, which is not an
/// error.
pub(super) fn lost() -> Option<String> {
    LOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_between_words_and_stay_aligned() {
        let text = "otpost.toml:12: route.replace_after_s: is 70; must be 15 to 60 seconds\n  two words";
        assert_eq!(
            fold(text, 40),
            "otpost.toml:12: route.replace_after_s:\n    is 70; must be 15 to 60 seconds\n  two words"
        );
        assert_eq!(
            fold_line("  +1.000 s  SMS  a receipt came", 24, 17),
            "  +1.000 s  SMS  a\n            receipt came"
        );
        let long = "x".repeat(50);
        assert_eq!(
            fold(&format!("see {long} there"), 40),
            format!("see\n    {long}\n    there"),
            "words are not broken"
        );
        assert_eq!(fold_line("\u{1b}[31mred words here\u{1b}[0m", 14, 0), "\u{1b}[31mred words here\u{1b}[0m");
    }
}
