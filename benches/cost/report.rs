//! The figures: one line each.

use std::fmt::Display;
use std::process::ExitCode;

/// What has been measured so far.
#[derive(Default)]
pub(crate) struct Report {
    missed: bool,
}

impl Report {
    /// A figure that has to be at most `goal`.
    pub(crate) fn at_most<T: Copy + Display + PartialOrd>(
        &mut self,
        what: &str,
        measured: T,
        goal: T,
        unit: &str,
    ) {
        let met = measured <= goal;
        self.missed |= !met;
        let mark = if met { "met" } else { "MISSED" };
        println!("{mark:6} {what}: {measured:.2} {unit} (goal: at most {goal:.2})");
    }

    /// Failure if a goal was missed.
    pub(crate) fn exit(self) -> ExitCode {
        if self.missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// A figure without a goal.
pub(crate) fn note(what: &str, measured: impl Display) {
    println!("       {what}: {measured}");
}

/// The median of some values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
