//! The terminal: one block of lines, redrawn in place.

use std::io::{IsTerminal, Write, stdout};

/// Width where none is known: a file.
const WIDE: usize = 120;

/// Narrower terminals get plain lines.
const NARROWEST: usize = 52;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Synchronised update: terminals that support it show the frame at once; others ignore it.
const FRAME: (&str, &str) = ("\x1b[?2026h", "\x1b[?2026l");
const TO_THE_END_OF_THE_LINE: &str = "\x1b[K";
const TO_THE_END_OF_THE_SCREEN: &str = "\x1b[J";

/// Dropping it shows the cursor again.
pub(super) struct Screen {
    drawn: usize,
    width: usize,
}

impl Screen {
    /// `None` when standard output is not a terminal that can be drawn on, or is too small for `height` lines.
    pub(super) fn open(height: usize) -> Option<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let (width, lines) = size()?;
        (!dumb && lines > height && width >= NARROWEST).then_some(Self { drawn: 0, width })
    }

    /// Current number of columns.
    pub(super) fn width(&self) -> usize {
        size().map_or(WIDE, |(width, _)| width)
    }

    /// Overwrites what was drawn before, in one write. Lines must be shorter than the screen is wide.
    pub(super) fn draw(&mut self, lines: &[String]) {
        let width = self.width();
        let mut frame = String::from(FRAME.0);
        frame.push_str(HIDE_CURSOR);
        if width != self.width {
            // The terminal has wrapped the old lines again, so their start is unknown.
            frame.push_str("\x1b[2J\x1b[H");
        } else if self.drawn > 0 {
            frame.push_str(&format!("\x1b[{}F", self.drawn));
        }
        for line in lines {
            frame.push_str(line);
            frame.push_str(TO_THE_END_OF_THE_LINE);
            frame.push('\n');
        }
        frame.push_str(TO_THE_END_OF_THE_SCREEN);
        frame.push_str(FRAME.1);
        (self.drawn, self.width) = (lines.len(), width);
        write(&frame);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(SHOW_CURSOR);
    }
}

/// The reader may be gone, which is no reason to stop.
fn write(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line that stays.
pub(super) fn print(line: &str) {
    write(&format!("{line}\n"));
}

/// Columns for a table that is printed once.
pub(super) fn columns() -> usize {
    size().map_or(WIDE, |(width, _)| width)
}

/// Columns and lines; `None` when standard output is not a terminal.
fn size() -> Option<(usize, usize)> {
    if !stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout()).ok()?;
    Some((usize::from(size.ws_col), usize::from(size.ws_row)))
}
