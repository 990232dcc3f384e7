//! What is measured: the workloads and the figures that each yields.

/// Two processes doing one thing for a while.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// In the order of the values that a round yields.
    pub(crate) figures: &'static [Figure],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages of this size, there and back, one at a time.
    PingPong { size: usize },
    /// Messages of this size, one way.
    Stream { size: usize, unit: StreamUnit },
    /// Connections that carry nothing, one at a time.
    Connect,
    /// Many connections with one outstanding request each; both ends wait in epoll.
    #[cfg(target_os = "linux")]
    Requests { connections: usize, size: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamUnit {
    MillionMessages,
    GigaBytes,
}

impl Kind {
    /// How many connections stay open during the measurement.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::PingPong { .. } | Self::Stream { .. } => 1,
            Self::Connect => 0,
            #[cfg(target_os = "linux")]
            Self::Requests { connections, .. } => connections,
        }
    }
}

/// One line of the report.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Lower,
    Higher,
}

impl Workload {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|workload| workload.name == name)
    }

    /// One of its figures has this in its name.
    pub(crate) fn matches(&self, text: Option<&str>) -> bool {
        text.is_none_or(|text| self.figures.iter().any(|figure| figure.name.contains(text)))
    }
}

const fn lower(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, better: Better::Lower }
}

const fn higher(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit, better: Better::Higher }
}

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "pingpong_64B",
        kind: Kind::PingPong { size: 64 },
        figures: &[lower("pingpong_64B_p50_us", "us"), lower("pingpong_64B_p99_us", "us")],
    },
    Workload {
        name: "pingpong_4KiB",
        kind: Kind::PingPong { size: 4 << 10 },
        figures: &[lower("pingpong_4KiB_p50_us", "us")],
    },
    Workload {
        name: "stream_64B",
        kind: Kind::Stream { size: 64, unit: StreamUnit::MillionMessages },
        figures: &[higher("stream_64B_mmsg_s", "Mmsg/s")],
    },
    Workload {
        name: "stream_1KiB",
        kind: Kind::Stream { size: 1 << 10, unit: StreamUnit::GigaBytes },
        figures: &[higher("stream_1KiB_gb_s", "GB/s")],
    },
    Workload {
        name: "stream_64KiB",
        kind: Kind::Stream { size: 64 << 10, unit: StreamUnit::GigaBytes },
        figures: &[higher("stream_64KiB_gb_s", "GB/s")],
    },
    Workload {
        name: "stream_1MiB",
        kind: Kind::Stream { size: 1 << 20, unit: StreamUnit::GigaBytes },
        figures: &[higher("stream_1MiB_gb_s", "GB/s")],
    },
    Workload { name: "connect_close", kind: Kind::Connect, figures: &[higher("connect_close_per_s", "1/s")] },
    #[cfg(target_os = "linux")]
    Workload {
        name: "epoll_50conn_64B",
        kind: Kind::Requests { connections: 50, size: 64 },
        figures: &[higher("epoll_50conn_64B_kreq_s", "kreq/s")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_found() {
        let names: HashSet<&str> = ALL.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), ALL.len());
        let figures: Vec<&str> = ALL.iter().flat_map(|w| w.figures).map(|figure| figure.name).collect();
        assert_eq!(figures.iter().collect::<HashSet<_>>().len(), figures.len());
        for workload in ALL {
            assert!(Workload::find(workload.name).is_some_and(|found| found.kind == workload.kind));
            assert!(workload.matches(None) && workload.matches(Some(workload.figures[0].name)));
        }
        assert!(Workload::find("nothing").is_none());
    }
}
