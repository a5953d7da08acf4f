//! What the demo prints after the table.

use std::path::Path;
use std::time::Duration;

use super::play::Play;
use super::{LOG, screen};
use crate::commands::connection_file::{ConnectionFile, demo_dir};
use crate::commands::paint::Paint;
use crate::commands::{hints, terminal};

/// In the form that a shell reads within single quotes: a number that changes every second and ends in a fate.
const NEW_NUMBER: &str = "+6281'$(date +%H%M%S)'0003";

/// Whether everything was as expected.
pub(super) fn verdict(paint: Paint, differences: &[String], set_up: Duration, lasted: Duration) {
    screen::print("");
    if differences.is_empty() {
        let line = "  All as it should be: every phone that can be reached got its code, and no phone got it twice on a channel.";
        screen::print(&paint.green(&terminal::fold(line, screen::columns())));
    } else {
        screen::print(&paint.red("  Not as it should be:"));
        let told = |one: &String| terminal::fold(&format!("    {one}"), screen::columns());
        differences.iter().for_each(|one| screen::print(&told(one)));
    }
    let times = format!("  Ready after {:.1} s, played for {:.1} s.", set_up.as_secs_f64(), lasted.as_secs_f64());
    screen::print(&paint.dim(&times));
}

/// All addresses, and commands to copy.
pub(super) fn connection(paint: Paint, data_dir: &Path, connection: &ConnectionFile, play: &Play<'_>) {
    let ConnectionFile { api_url, api_key, simulator_url, database_url } = connection;
    let program = hints::quoted(&std::env::args().next().unwrap_or_else(|| "otpost".to_owned()));
    let is_default = demo_dir().is_ok_and(|dir| dir == data_dir);
    let place = hints::flags(None, (!is_default).then_some(data_dir));
    let mut lines = vec![
        String::new(),
        format!("  {}        {api_url}", paint.bold("API")),
        format!("  {}  {simulator_url}", paint.bold("simulator")),
        format!("  {}     {simulator_url}/sim/phones (what each got)", paint.bold("phones")),
        format!("  {}   psql '{database_url}'", paint.bold("database")),
        format!("  {}      {}", paint.bold("files"), ConnectionFile::path(data_dir).display()),
        format!("             {}", data_dir.join(LOG).display()),
        String::new(),
        format!("  {}", paint.dim("# send a code; the last four digits choose its fate, 0001 to 0012")),
        format!("  KEY={api_key}"),
        // Another number each time: for a number that was used before, otpost remembers which channel worked.
        format!(
            "  curl -s {api_url}/v1/messages -H \"Authorization: Bearer $KEY\" -d '{{\"to\": \"{NEW_NUMBER}\"}}'; echo"
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
    lines.push(format!("  {program} send '{NEW_NUMBER}' --wait{place}"));
    lines.push(format!("  {program} tail{place}"));
    lines.push(String::new());
    lines.push(format!("  It stays up until {}.", paint.bold("Ctrl-C")));
    lines.iter().for_each(|line| screen::print(line));
}
