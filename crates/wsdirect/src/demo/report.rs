//! Both runs side by side.

use super::Outcome;
use crate::{list, table};

/// How many connections are shown one by one.
const SHOWN: usize = 6;

pub(crate) fn render(tcp: &Outcome, wsdirect: &Outcome) -> String {
    let mut rows = table::new(&["FIGURE", "UNIT", "TCP", "WSDIRECT", "RATIO"]);
    for (before, after) in tcp.figures.iter().zip(&wsdirect.figures) {
        rows.add_row([
            before.name.as_str().into(),
            before.unit.into(),
            table::number(table::figure(before.value)),
            table::number(table::figure(after.value)),
            table::number(format!("{:.2}x", after.value / before.value)),
        ]);
    }
    let data = if tcp.data == wsdirect.data {
        format!("Written and read back, the same both times: {}", tcp.data)
    } else {
        format!("Written and read back DIFFERENTLY: {} / {}", tcp.data, wsdirect.data)
    };
    let connections = match &wsdirect.connections {
        Some(seen) => list::render_some(seen, SHOWN),
        None => "(not shown: this build cannot look into programs)".to_owned(),
    };
    format!("{rows}\n\n{data}\n\nIn the middle of it, under the switch:\n{connections}")
}
