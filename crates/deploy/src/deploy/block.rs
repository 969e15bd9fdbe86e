//! `results.txt`: what the older HCDDL printed at the end of a run.

use super::gather::Gathered;
use super::result::NodeResult;

/// The block of results of the older HCDDL: total time, steps, loss, accuracy, best accuracy; mean seconds of a round,
/// of a round without the server's folding (t_fit), of a fold (t_aggr), of a worker's job (t_comp), and of the
/// configuration of a client, which is how long it takes to bring it its model and settings (t_conf).
#[must_use]
pub fn results_text(gathered: &Gathered) -> String {
    let Gathered { summary, nodes, best_accuracy, .. } = gathered;
    let workers: Vec<&NodeResult> = nodes.iter().flatten().filter(|node| node.client_fits > 0).collect();
    let servers: Vec<&NodeResult> =
        nodes.iter().flatten().filter(|node| node.kind.ends_with("server")).collect();
    let per = |seconds: f64, count: u64| if count == 0 { 0.0 } else { seconds / count as f64 };
    let compute: f64 = workers.iter().map(|node| node.compute_s).sum();
    let folding: f64 = servers.iter().map(|node| node.compute_s).sum();
    let round = per(summary.virtual_time_s, summary.commits);
    let t_comp = per(compute, summary.client_fits);
    let t_aggr = per(folding, servers.iter().fold(0, |sum: u64, node| sum.saturating_add(node.version)));
    let best = best_accuracy.or(summary.accuracy).unwrap_or(f64::NAN);
    format!(
        "[ Results for run {} ]\nTotal time: {:.3} s\nTotal steps: {}\nFinal loss: {:.4}\nFinal accuracy: {:.4}\n\
         Max accuracy: {best:.4}\nt_round: {round:.6}\nt_fit: {:.6}\nt_aggr: {t_aggr:.6}\nt_comp: {t_comp:.6}\n\
         t_conf: {:.6}\n",
        summary.name,
        summary.virtual_time_s,
        summary.commits,
        summary.loss.unwrap_or(f64::NAN),
        summary.accuracy.unwrap_or(f64::NAN),
        round - t_aggr,
        gathered.configuring_s.unwrap_or(f64::NAN),
    )
}
