//! The forger in the closing: masks, products, cross terms and pads that are chosen for a given challenge.

use super::*;

/// What the closing's one equation is off by, and what a unit of a variable adds to it.
fn folded(attempt: &Attempt, variable: usize) -> [Fr; 2] {
    let place = places(attempt, "challenge", "closing equations")[0];
    let fold = drawn(attempt, place);
    let rounds = places(attempt, "challenge", "product round").into_iter();
    let scale: Fr = rounds.map(|place| drawn(attempt, place)).product();
    let powers = std::iter::successors(Some(scale), |power| Some(*power * fold));
    let mut sums = [Fr::ZERO; 2];
    for (equation, power) in attempt.equations.iter().zip(powers) {
        sums[0] += power * residual(equation, &attempt.values);
        sums[1] += power * slope(equation, &attempt.values, variable);
    }
    sums
}

/// Lies up to the last check, which no message before the closing can make hold.
fn lies_before_closing(forger: &Forger) -> Lies {
    let progress = forge(forger, false);
    let attempt = forger.attempt(&progress.lies, None);
    let broken = attempt
        .equations
        .iter()
        .map(|e| residual(e, &attempt.values));
    let broken: Vec<bool> = broken.map(|r| !r.is_zero()).collect();
    assert_eq!(broken.iter().filter(|broken| **broken).count(), 1);
    assert_eq!(broken.last(), Some(&true));
    progress.lies
}

/// Masks that are chosen for a given challenge, so that the answers satisfy the one equation.
fn fitting_masks(forger: &Forger, lies: &Lies, exchange: Option<usize>) -> Attempt {
    let before = forger.attempt(lies, exchange);
    let opened = before.claims.hidden.last().unwrap().variables.start as usize;
    let [off, of_one] = folded(&before, opened);
    let c = drawn(&before, places(&before, "challenge", "closing")[0]);
    // The answers' value is off by c^2, a unit of the answer adds c.
    let shift = -c * off * of_one.inverse().unwrap();
    let mut lies = lies.clone();
    let mask = places(&forger.attempt(&lies, None), "absorb", "closing mask")[0];
    let answer = places(&before, "absorb", "answer")[0];
    let point = commit_row(opened, &[shift], Default::default());
    lies.points.insert((mask, 0), point);
    lies.elements.insert((answer, opened), shift);
    forger.attempt(&lies, exchange)
}

#[test]
fn masks_are_sent_before_their_challenge() {
    // An answer that is not folded.
    let forger = Forger::new(4, 12);
    let lies = lies_before_closing(&forger);
    let masks = places(&forger.attempt(&lies, None), "absorb", "closing mask")[0];
    assert!(!forger.wins(&fitting_masks(&forger, &lies, None)));
    assert!(forger.wins(&fitting_masks(&forger, &lies, Some(masks))));
}

/// An element of the closing's products that satisfies the one equation, for given challenges: the first of the message at `place`.
fn fitting_product(forger: &Forger, lies: &Lies, place: usize, exchange: Option<usize>) -> Attempt {
    let before = forger.attempt(lies, exchange);
    let opened = before.claims.hidden.last().unwrap().variables.start as usize;
    let [off, _] = folded(&before, opened);
    // Exchanged, the challenge comes first; else the forger goes by the one that there was.
    let at = if exchange == Some(place) {
        place
    } else {
        place + 1
    };
    let challenge = drawn(&before, at);
    let shift = match before.sponge.log()[at].1 {
        // The claim is `off` above the products, times later challenges; a unit of the constant adds `1 - 2 r` to it.
        "product round" => {
            let rounds = places(&before, "challenge", "product round");
            let later = rounds.into_iter().filter(|round| *round > place + 1);
            let later: Fr = later.map(|round| drawn(&before, round)).product();
            let scale = (later * (Fr::ONE - challenge.double())).inverse().unwrap();
            off * scale
        }
        // `theta^3 off - theta^11 x`
        "closing rows" => off * challenge.pow([8]).inverse().unwrap(),
        // `(a + x) b - claim - challenge x`
        _ => {
            let message = before.messages.iter().find(|m| m.place == place);
            off * (challenge - message.unwrap().elements[1])
                .inverse()
                .unwrap()
        }
    };
    let mut lies = lies.clone();
    *lies.elements.entry((place, 0)).or_default() += shift;
    forger.attempt(&lies, exchange)
}

#[test]
fn products_are_sent_before_their_challenges() {
    let forger = Forger::new(4, 2);
    let lies = lies_before_closing(&forger);
    let honest = forger.attempt(&lies, None);
    let rounds = places(&honest, "absorb", "product round");
    assert!(rounds.len() > 4);
    let factors = places(&honest, "absorb", "product factors");
    let sums = places(&honest, "absorb", "segment sums");
    for place in [rounds, factors, sums].concat() {
        assert!(!forger.wins(&fitting_product(&forger, &lies, place, None)));
        let exchanged = fitting_product(&forger, &lies, place, Some(place));
        assert!(forger.wins(&exchanged), "at {place}");
    }
}

/// Pads that are chosen at the end, to make the last equations hold of what was sent.
fn late_pads(forger: &Forger, lies: &Lies) -> Attempt {
    let before = forger.attempt(lies, None);
    let values = places(&before, "absorb", "opened values")[0];
    let message = before.messages.iter().find(|m| m.place == values).unwrap();
    let variables = Progress::variables(message);
    let shifts = solve(&before.equations, &before.values, &variables, |_| true).unwrap();
    let mut lies = Progress::with(lies, message, &shifts);
    let pads = places(&before, "absorb", "pads")[0];
    let first = before.messages[0].first as usize;
    let shifts = shifts.into_iter();
    lies.elements
        .extend(shifts.map(|(pad, shift)| ((pads, pad - first), shift)));
    forger.attempt(&lies, None)
}

#[test]
fn pads_are_used_in_order() {
    let forger = Forger::new(4, 2);
    let honest = forger.honest();
    assert!(forger.wins(&honest));
    let closing = places(&honest, "challenge", "closing equations")[0];
    let mut turned = 0;
    for message in honest.messages.iter().filter(|m| !m.is_row && m.len > 1) {
        let lies = Lies {
            turned: Some(message.place),
            ..Lies::default()
        };
        let attempt = forger.attempt_with(&lies, None, 0);
        assert!(!forger.wins(&attempt), "at {}", message.place);
        turned += usize::from(message.place < closing);
    }
    assert!(turned > 5);
}

#[test]
fn pads_are_absorbed() {
    let mut forger = Forger::new(4, 2);
    let lies = lies_before_closing(&forger);
    assert!(!forger.wins(&late_pads(&forger, &lies)));
    forger.ignored = Some("pads");
    let lies = lies_before_closing(&forger);
    assert!(!forger.wins(&forger.attempt(&lies, None)));
    assert!(forger.wins(&late_pads(&forger, &lies)));
}

/// A value of an answer that satisfies the one equation, and cross terms of a round that are chosen for a given challenge to make it the answer's.
fn fitting_cross_terms(
    forger: &Forger,
    lies: &Lies,
    round: usize,
    exchange: Option<usize>,
) -> Attempt {
    let before = forger.attempt(lies, None);
    let opened = before.claims.hidden.last().unwrap().variables.start as usize;
    let [off, _] = folded(&before, opened);
    let c = drawn(&before, places(&before, "challenge", "closing")[0]);
    let theta = drawn(&before, places(&before, "challenge", "closing rows")[0]);
    let shift = -c * theta.square() * theta * off;
    let mut lies = lies.clone();
    let value = places(&before, "absorb", "answer value")[0];
    lies.elements.insert((value, 0), shift);
    let attempt = forger.attempt(&lies, exchange);
    let xi = drawn(&attempt, value + 1);
    let at = |round: &usize| match exchange {
        // Exchanged, the challenge comes first.
        Some(place) if place == *round => *round,
        _ => *round + 1,
    };
    let rounds = places(&before, "absorb", "answer round");
    let before = rounds[..=round].iter();
    let scale: Fr = before.map(|round| drawn(&attempt, at(round))).product();
    let point = (blinding_generator() * (-xi * shift * scale)).into_affine();
    lies.points.insert((rounds[round], 0), point);
    forger.attempt(&lies, exchange)
}

/// In every round of the answer, where rows are of `2^row_log2`.
fn assert_cross_terms_come_first(row_log2: u8, answer_log2: u8) {
    let forger = Forger::new(row_log2, answer_log2);
    let lies = lies_before_closing(&forger);
    let rounds = places(&forger.attempt(&lies, None), "absorb", "answer round");
    assert!(rounds.len() > usize::from(row_log2 - answer_log2));
    for (round, place) in rounds.into_iter().enumerate() {
        assert!(!forger.wins(&fitting_cross_terms(&forger, &lies, round, None)));
        let exchanged = fitting_cross_terms(&forger, &lies, round, Some(place));
        assert!(forger.wins(&exchanged), "round {round}");
    }
}

#[test]
fn cross_terms_are_sent_before_their_challenge() {
    assert_cross_terms_come_first(4, 2);
}

#[test]
fn cross_terms_of_long_rows_are_sent_before_their_challenge() {
    assert_cross_terms_come_first(12, 4);
}
