//! Colours for output on a terminal.

use std::io::IsTerminal;

/// Whether standard output may be coloured. NO_COLOR: <https://no-color.org>.
#[derive(Clone, Copy)]
pub(super) struct Paint(pub bool);

impl Paint {
    pub(super) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self(std::io::stdout().is_terminal() && !unwanted && !dumb)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.code("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.code("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.code("33", text)
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.code("36", text)
    }

    fn code(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `12 ms`, `0.8 s`, `15.0 s`, `4 min`: rounded for display.
pub(super) fn length(ms: f64) -> String {
    match ms {
        ms if ms < 0.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_950.0 => format!("{:.1} s", ms / 1000.0),
        ms => format!("{:.0} min", ms / 60_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_well_and_no_paint_means_none() {
        for (ms, text) in
            [(0.4, "0.4 ms"), (12.2, "12 ms"), (812.0, "812 ms"), (2_449.0, "2.4 s"), (240_000.0, "4 min")]
        {
            assert_eq!(length(ms), text);
        }
        assert_eq!((Paint(false).red("no"), Paint(true).red("no")), ("no".to_owned(), "\x1b[31mno\x1b[0m".to_owned()));
    }
}
