//! What the demo says after the table.

use std::path::Path;
use std::time::Duration;

use super::play::Play;
use super::{LOG, screen};
use crate::commands::paint::Paint;
use crate::commands::papers::{Papers, demo_dir};

/// Whether all was as it should be.
pub fn verdict(paint: Paint, differences: &[String], set_up: Duration, lasted: Duration) {
    screen::print("");
    if differences.is_empty() {
        let line = "  All as it should be: every phone that can be reached got its code, and no phone got it twice on a channel.";
        screen::print(&paint.green(line));
    } else {
        screen::print(&paint.red("  Not as it should be:"));
        differences.iter().for_each(|one| screen::print(&format!("    {one}")));
    }
    let times = format!("  Ready after {:.1} s, played for {:.1} s.", set_up.as_secs_f64(), lasted.as_secs_f64());
    screen::print(&paint.dim(&times));
}

/// Where everything is, and lines to copy.
pub fn papers(paint: Paint, data_dir: &Path, papers: &Papers, play: &Play<'_>) {
    let Papers { api_url, api_key, simulator_url, database_url } = papers;
    let program = std::env::args().next().unwrap_or_else(|| "otpost".to_owned());
    let is_default = demo_dir().is_ok_and(|dir| dir == data_dir);
    let place = if is_default { String::new() } else { format!(" --data-dir '{}'", data_dir.display()) };
    let mut lines = vec![
        String::new(),
        format!("  {}        {api_url}", paint.bold("API")),
        format!("  {}  {simulator_url}   what each phone got: {simulator_url}/sim/phones", paint.bold("simulator")),
        format!("  {}   psql '{database_url}'", paint.bold("database")),
        format!("  {}      {}", paint.bold("files"), Papers::path(data_dir).display()),
        format!("             {}", data_dir.join(LOG).display()),
        String::new(),
        format!("  {}", paint.dim("# send a code; the last four digits choose its fate, 0001 to 0012")),
        format!("  KEY={api_key}"),
        format!(
            "  curl -s {api_url}/v1/messages -H \"Authorization: Bearer $KEY\" -d '{{\"to\": \"+628123450003\"}}'; echo"
        ),
    ];
    if let Some((id, code)) = play.left_alone() {
        lines.extend([
            format!("  {}", paint.dim("# check one: it was delivered above, and nobody has typed its code yet")),
            format!("  ID={id}"),
            format!(
                "  curl -s {api_url}/v1/messages/$ID/check -H \"Authorization: Bearer $KEY\" -d '{{\"code\": \"{code}\"}}'; echo"
            ),
            format!("  {}", paint.dim("# or, with this program")),
            format!("  {program} show $ID{place}"),
        ]);
    }
    lines.push(format!("  {program} send +628123450003 --wait{place}"));
    lines.push(format!("  {program} tail{place}"));
    lines.push(String::new());
    lines.push(format!("  It stays up until {}.", paint.bold("Ctrl-C")));
    lines.iter().for_each(|line| screen::print(line));
}
