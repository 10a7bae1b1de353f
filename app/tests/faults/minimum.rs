//! Fewer replicas in sync than the topic demands (min.insync.replicas).

use super::{LIMIT, Passage, Trio, wait_until_in_sync};
use crate::crashes::{OVER, is_behind};
use crate::support::*;

#[test]
fn a_producer_waits_and_says_why_while_too_few_replicas_are_in_sync() {
    let mut random = Random::new();
    let cluster = Trio::with_zookeeper();
    let workspace = Workspace::on(&cluster, "with too few replicas in sync the producer waits").of("t");
    let mut passage = Passage::start(&workspace, &mut random, &[]);
    let left = cluster.leader(workspace.topic(), 0);
    passage.suffer(|cluster| {
        for number in (1..=3).filter(|&number| number != left) {
            cluster.kill_broker_number(number);
        }
    });
    wait_until_in_sync(&workspace, &[left]);
    let producer = &mut passage.ferry.producer;
    let line = producer.wait_for_line("NotEnoughReplicas", LIMIT);
    eprintln!("{line}");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(producer.is_running(), "it gave up\n{}", producer.output());
    assert!(is_behind(&workspace), "rows were acknowledged by one broker alone");
    let [before, _] = passage.heard(OVER);
    passage.mend();
    passage.ferry.producer.wait_for_lines(OVER, before + 1, LIMIT);
    passage.recover();
    passage.end();
}
