//! Topics that were made anew, and what the producer makes of it.

use super::*;

/// What the producer says of a topic that holds nothing of what it noted.
const ANEW: &str = "the topic was made anew, and holds nothing of what was sent before: all rows are sent again";

#[test]
fn a_topic_that_was_made_anew_gets_all_rows() {
    let w = shop("where nothing is left there is nothing to lose", 200);
    ship_and_land(&w);
    let ends = w.cluster().latest(w.topic());
    delete_topic(&w);
    change_all(&w);
    w.producer(&["--strict"])
        .code(3)
        .says("the topic was made anew")
        .says("way out: run `producer --backfill`");
    w.producer(&[]).ok().says(ANEW);
    assert_eq!(w.cluster().latest(w.topic()).len(), ends.len());
    let sink = w.path("new-sink.db");
    w.consumer(&["--sink", text(&sink), "--until-caught-up"]).ok();
    w.verify(&["--sink", text(&sink)]).ok().says("equal");
    w.producer(&[]).ok().says("0 rows shipped").never_says("made anew");
}

#[test]
fn a_topic_that_was_made_anew_is_known_by_what_stands_in_it() {
    let w = shop("a log of the same length with other records is another one", 200);
    ship_and_land(&w);
    let ends = w.cluster().latest(w.topic());
    delete_topic(&w);
    w.cluster().create_topic(w.topic(), 3, &[]);
    for (partition, end) in ends.into_iter().enumerate() {
        let records: String = (0..end + 5)
            .map(|n| format!("{{\"id\":{n}}}\t{{\"id\":{n}}}\n"))
            .collect();
        let partition = partition.to_string();
        kcat(
            w.cluster(),
            &["-P", "-t", w.topic(), "-p", &partition, "-K", "\t"],
            records.as_bytes(),
        );
    }
    change_all(&w);
    w.producer(&["--strict"])
        .code(3)
        .says("another record stands there: the topic was made anew");
    w.producer(&[]).ok().says(ANEW);
}

#[test]
fn a_topic_that_is_made_anew_under_a_living_producer_gets_all_rows() {
    let w = shop("a living producer sees its log begin again", 200);
    let mut producer = w.start_producer(&["--follow"]);
    wait_until_shipped(&w);
    delete_topic(&w);
    w.cluster().create_topic(w.topic(), 3, &[]);
    change_some(&w, 1);
    producer.wait_for_line("the topic was made anew", SOON);
    for round in 2..4 {
        let ends = || w.cluster().latest(w.topic()).into_iter().sum::<i64>();
        let before = ends();
        change_some(&w, round);
        assert!(
            wait_until(SOON, || ends() > before),
            "nothing is sent\n{}",
            producer.output()
        );
    }
    producer.signal(libc::SIGTERM);
    producer.wait(SOON).ok();
    becomes_equal(&w);
}
