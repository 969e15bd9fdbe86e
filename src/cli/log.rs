//! What the program tells about itself while it runs, on stderr. The processes of a deployed run write records, one a
//! line: moment (UTC), level, node, message; nothing in a message can begin another line or colour a terminal.

use hcddl_core::domain::text::in_line;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Sessions that come and go are told by our own links.
const QUIET: &str = ",ractor=warn,ractor_cluster=error";

/// Starts logging; `node` is who writes in a deployed run.
pub fn to_stderr(verbose: u8, node: Option<&str>) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("HCDDL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level.to_owned() + QUIET));
    // A log on a full disk must not end the program, as a failed note about it would.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // A second call in one process (tests) keeps the first logger.
    let _ = match node {
        Some(node) => builder.event_format(Record { node: node.to_owned() }).try_init(),
        None => builder.without_time().with_target(false).with_ansi(super::output::colours()).try_init(),
    };
}

/// `2026-11-27T20:15:30.000001Z WARN worker1 message`
struct Record {
    node: String,
}

impl<S, N> FormatEvent<S, N> for Record
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut message = String::new();
        cx.format_fields(Writer::new(&mut message), event)?;
        SystemTime.format_time(&mut to)?;
        writeln!(to, " {} {} {}", event.metadata().level(), in_line(&self.node), in_line(&message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_record_is_a_line_with_moment_level_and_node() {
        let shared = Shared::default();
        let writer = shared.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(Record { node: "worker1".to_owned() })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("a stranger says `{}`", "\u{1b}[31mred\nERROR global all is lost");
        });
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        let (_, record) = text.split_once("Z WARN worker1 a stranger says `").unwrap();
        assert!(!record.contains('\u{1b}') && record.contains("[31mred\u{fffd}ERROR global"), "{text:?}");
    }
}
