//! Headlines, teasers and bodies from the word lists: combinatorial, seeded, and about their topic.

use crate::limits::BODY_WORDS;
use crate::rng::Rng;
use crate::words::{Language, Vocabulary, vocabulary};

const PLACES: [&str; 30] = [
    "Port Ellery",
    "Westmere",
    "Callan Bay",
    "Norrisfield",
    "Alder Falls",
    "Kingsmarrow",
    "Brackwater",
    "Saint Orrin",
    "Dunhollow",
    "Ravensby",
    "Eastholm",
    "Millbrook Heath",
    "Tarrow",
    "Glenavon",
    "Hartsea",
    "Lower Winding",
    "Copperfield",
    "Marlow Cross",
    "Ashgrove",
    "Penrith Sound",
    "Vale of Orm",
    "Stonebridge",
    "Larkhaven",
    "Fennick",
    "Holloway Point",
    "Cressford",
    "Old Sedgeley",
    "Thornby",
    "Quayside",
    "Upper Linden",
];
const FIRST: [&str; 32] = [
    "Amara", "Ben", "Clara", "Daniel", "Elif", "Farah", "George", "Hana", "Ines", "Jonas", "Kavya",
    "Liam", "Marta", "Noah", "Olga", "Priya", "Quentin", "Rosa", "Samir", "Tessa", "Uma", "Viktor",
    "Wanda", "Xavier", "Yusuf", "Zoe", "Anneke", "Carlos", "Imani", "Henrik", "Lucía", "Tomás",
];
const LAST: [&str; 32] = [
    "Abara",
    "Brandt",
    "Carvalho",
    "Dunne",
    "Eriksen",
    "Falk",
    "Grieve",
    "Haddad",
    "Ibarra",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quist",
    "Rahman",
    "Serrano",
    "Thorne",
    "Ueda",
    "Vance",
    "Whitlock",
    "Xu",
    "Yilmaz",
    "Zeller",
    "Ashdown",
    "Bellamy",
    "Castellanos",
    "Drury",
    "Engel",
    "Fonseca",
];

/// Sentence forms of one language. In braces: `S` subject, `P` predicate, `T` thing, `W` `X` `Y` terms, `R` a second
/// subject, `Q` predicate of that one, `L` place, `N` name, `q` quote, `n` `m` `p` numbers, `d` weekday, `t` tail; `^` before it: capital.
struct Forms {
    headlines: &'static [&'static str],
    tails: &'static [&'static str],
    leads: &'static [&'static str],
    sentences: &'static [&'static str],
    headings: &'static [&'static str],
    updates: &'static [&'static str],
    quotes: &'static [&'static str],
    weekdays: [&'static str; 7],
}

const EN: Forms = Forms {
    headlines: &[
        "{^S} {P}",
        "{^S} {P}",
        "{^S} {P} {t}",
        "{^S} {P} {t}",
        "{^S} {P} {t}",
        "Why {S} {P}",
        "{L}: {S} {P}",
        "What {T} means for {L}",
        "{^T}: {n} things to know",
        "How {T} changed {L}",
        "Inside {T} at {L}",
        "‘{q}’: {N} on {T}",
        "{N}: “{q}”, and other lessons from {T}",
        "The story behind {T} in {L}",
        "{n} questions about {T}, answered",
        "{^T}, explained by {N}",
        "Meet {N}, the quiet force behind {T}",
        "{L} debates {T}",
        "The {d} read: {T} and the road ahead",
    ],
    tails: &[
        "in {L}",
        "near {L}",
        "to the surprise of {L}",
        "after a long wait",
        "and few saw it coming",
        "once again",
        "against expectations",
        "as the year draws to a close",
        "despite early doubts",
        "with help from {L}",
    ],
    leads: &[
        "{^S} {P}. What happens next in {L} depends on {T}.",
        "{^T} has set off a debate in {L} about {W} and {X}.",
        "{N} on {W}, {X} and why {T} matters now.",
        "As {S} {P}, a look at what {T} has changed.",
    ],
    sentences: &[
        "{^S} {P}, and {L} is watching closely.",
        "{^T} has moved to the top of the agenda in {L}, where talk turns quickly to {W} and {X}.",
        "“{q},” said {N}, who has followed {T} for {n} years.",
        "In a survey of {m} people, {p} percent named {W} as their first interest, ahead of {X}.",
        "{N} remembers when {T} was little more than an idea.",
        "For {S}, the question is no longer whether {W} matters, but how soon it will show.",
        "The figures on {W} tell only part of the story; {X} and {Y} fill in the rest.",
        "On {d}, {S} met in {L} to compare notes on {W}.",
        "Some doubt that {T} will last. {N} is not among them.",
        "“{q},” {N} added, pointing to {W} and {X}.",
        "A year ago, few in {L} would have put {W} and {X} in the same sentence.",
        "{^S} have been here before, and they know what {T} can and cannot do.",
        "Elsewhere, {R} {Q}, which makes the picture harder to read.",
        "The next step is expected within {n} weeks, and {W} will decide much of it.",
        "Those who follow {W} most closely say {T} cannot come soon enough.",
        "Critics point to {W}; supporters answer with {X}.",
        "It is a small change on paper, yet {T} touches nearly everything from {W} to {X}.",
        "Visitors to {L} notice it at once: {W}, {X}, and a good deal of patience.",
        "Spending linked to {W} rose by {p} percent last year, according to a report published in {L}.",
        "Nobody expects {T} to settle the matter alone.",
        "What began with {W} has become a wider conversation about {X}.",
        "{N} keeps a notebook on {T}; the latest page reads simply: {W}, {X}, {Y}.",
        "By {d} evening the mood had changed, and {R} {Q}.",
        "There is a reason {T} draws so much attention: {W} rarely moves without {X}.",
    ],
    headings: &[
        "What happens next",
        "The view from {L}",
        "A closer look at {T}",
        "Why {W} matters",
        "In brief",
    ],
    updates: &[
        "<strong>Update:</strong> Since this was first published, {N} has confirmed that {T} will be reviewed on {d}.",
        "<strong>Correction:</strong> An earlier version misstated the share for {W}; it is {p} percent.",
    ],
    quotes: &[
        "Nobody saw it coming",
        "We had to start over",
        "This is only the beginning",
        "You learn to listen first",
        "It was never about the money",
        "We can do better than this",
        "People are ready for it",
        "Small steps count",
        "I would do it all again",
        "The details matter more than the headline",
    ],
    weekdays: [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ],
};

const DE: Forms = Forms {
    headlines: &[
        "{S} {P}",
        "{S} {P}",
        "{S} {P} – {t}",
        "{L}: {S} {P}",
        "{^T}: {n} Dinge, die man wissen muss",
        "Was {T} für {L} bedeutet",
        "„{q}“: {N} im Gespräch",
        "So verändert sich {L}: {T} im Überblick",
        "{n} Fragen und Antworten: {T}",
        "{N} erklärt: {T}",
        "{L} diskutiert: {T}",
    ],
    tails: &[
        "zur Überraschung von {L}",
        "nach langem Warten",
        "gegen alle Erwartungen",
        "und {L} schaut zu",
        "trotz früher Zweifel",
        "wieder einmal",
    ],
    leads: &[
        "{S} {P}. Wie es in {L} weitergeht, ist noch offen.",
        "{N} über {W}, {X} und die Frage, was jetzt zählt.",
        "{^T} beschäftigt {L}: Es geht um {W} und um {X}.",
    ],
    sentences: &[
        "{S} {P}, und {L} schaut genau hin.",
        "{^T} steht in {L} ganz oben auf der Liste; schnell geht es dabei um {W} und {X}.",
        "„{q}“, sagt {N}, seit {n} Jahren mit dem Thema befasst.",
        "In einer Umfrage unter {m} Menschen nannten {p} Prozent das Stichwort {W} an erster Stelle, vor {X}.",
        "Am {d} trafen sich in {L} alle, die mit {W} zu tun haben.",
        "Die Zahlen zu {W} erzählen nur einen Teil der Geschichte, {X} und {Y} den anderen.",
        "Manche zweifeln, doch {N} gehört nicht dazu.",
        "Vor einem Jahr hätte in {L} kaum jemand {W} und {X} in einem Satz genannt.",
        "Die einen verweisen auf {W}, die anderen auf {X}.",
        "Anderswo sieht es anders aus: {R} {Q}.",
        "In den nächsten {n} Wochen soll die Entscheidung fallen, und vieles hängt dabei an {W}.",
        "Was mit {W} begann, ist inzwischen auch ein Gespräch über {X}.",
        "Niemand erwartet, dass sich damit alles erledigt hat.",
        "„{q}“, fügt {N} hinzu und zeigt auf die Zahlen zu {W}.",
    ],
    headings: &[
        "Wie es weitergeht",
        "Der Blick aus {L}",
        "Im Einzelnen: {T}",
        "Kurz gesagt",
    ],
    updates: &["<strong>Aktualisiert:</strong> {N} hat die Angaben zu {W} am {d} bestätigt."],
    quotes: &[
        "Damit hat niemand gerechnet",
        "Wir mussten von vorn anfangen",
        "Das ist erst der Anfang",
        "Man muss zuerst zuhören",
        "Es geht auch besser",
        "Kleine Schritte zählen",
    ],
    weekdays: [
        "Montag",
        "Dienstag",
        "Mittwoch",
        "Donnerstag",
        "Freitag",
        "Samstag",
        "Sonntag",
    ],
};

const ES: Forms = Forms {
    headlines: &[
        "{^S} {P}",
        "{^S} {P}",
        "{^S} {P} {t}",
        "{L}: {S} {P}",
        "{^T}: {n} claves para entenderlo",
        "Qué significa {T} para {L}",
        "«{q}»: {N} habla claro",
        "Así cambia {L}: {T} en detalle",
        "{n} preguntas y respuestas: {T}",
        "{N} explica las claves: {T}",
        "{L} debate: {T}",
    ],
    tails: &[
        "en {L}",
        "cerca de {L}",
        "para sorpresa de {L}",
        "tras una larga espera",
        "contra todo pronóstico",
        "una vez más",
    ],
    leads: &[
        "{^S} {P}. Lo que ocurra ahora en {L} todavía está por ver.",
        "{N} sobre {W}, {X} y lo que de verdad importa.",
        "{^T} abre en {L} un debate sobre {W} y {X}.",
    ],
    sentences: &[
        "{^S} {P}, y en {L} todos miran con atención.",
        "{^T} ocupa el primer lugar de la agenda en {L}, donde pronto se habla de {W} y de {X}.",
        "«{q}», dice {N}, que sigue el tema desde hace {n} años.",
        "En una encuesta a {m} personas, el {p} por ciento citó {W} en primer lugar, por delante de {X}.",
        "El {d} hubo una reunión en {L} para hablar de {W}.",
        "Las cifras sobre {W} cuentan solo una parte de la historia; {X} y {Y} cuentan el resto.",
        "Algunos dudan. {N}, no.",
        "Hace un año, pocos en {L} habrían unido {W} y {X} en una misma frase.",
        "Unos señalan {W}; otros responden con {X}.",
        "Mientras tanto, {R} {Q}.",
        "El próximo paso llegará en {n} semanas, y mucho dependerá de {W}.",
        "Lo que empezó con {W} es ya una conversación sobre {X}.",
        "«{q}», añade {N}, y recuerda lo que pasó con {W}.",
        "Nadie espera que {T} lo resuelva todo.",
    ],
    headings: &[
        "Qué viene ahora",
        "La mirada desde {L}",
        "En detalle: {T}",
        "En breve",
    ],
    updates: &["<strong>Actualización:</strong> {N} confirmó el {d} los datos sobre {W}."],
    quotes: &[
        "Nadie lo esperaba",
        "Hubo que empezar de cero",
        "Esto es solo el principio",
        "Primero hay que escuchar",
        "Podemos hacerlo mejor",
        "Los pequeños pasos cuentan",
    ],
    weekdays: [
        "lunes",
        "martes",
        "miércoles",
        "jueves",
        "viernes",
        "sábado",
        "domingo",
    ],
};

const fn forms(language: Language) -> &'static Forms {
    match language {
        Language::En => &EN,
        Language::De => &DE,
        Language::Es => &ES,
    }
}

/// A full name, seeded.
#[must_use]
pub fn person(r: &mut Rng) -> String {
    format!("{} {}", r.pick(&FIRST), r.pick(&LAST))
}

fn capital(s: &str) -> String {
    let mut c = s.chars();
    c.next()
        .map_or_else(String::new, |f| f.to_uppercase().chain(c).collect())
}

/// Three different terms, so that a sentence never names one twice.
fn terms(v: &Vocabulary, r: &mut Rng) -> [&'static str; 3] {
    let n = v.terms.len();
    let (a, step) = (r.below(n), 1 + r.below((n - 1) / 2));
    [
        v.terms[a],
        v.terms[(a + step) % n],
        v.terms[(a + 2 * step) % n],
    ]
}

fn fill(form: &str, f: &Forms, v: &Vocabulary, r: &mut Rng) -> String {
    let w = terms(v, r);
    let subject = r.below(v.subjects.len());
    let predicate = r.below(v.predicates.len());
    let mut out = String::with_capacity(form.len() * 2);
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((slot, tail)) = after.split_once('}') else {
            break;
        };
        rest = tail;
        let (up, key) = slot.strip_prefix('^').map_or((false, slot), |k| (true, k));
        let text = match key {
            "S" => v.subjects[subject].to_owned(),
            "P" => v.predicates[predicate].to_owned(),
            "R" => v.subjects[(subject + 1) % v.subjects.len()].to_owned(),
            "Q" => v.predicates[(predicate + 1) % v.predicates.len()].to_owned(),
            "T" => (*r.pick(&v.things)).to_owned(),
            "W" => w[0].to_owned(),
            "X" => w[1].to_owned(),
            "Y" => w[2].to_owned(),
            "L" => (*r.pick(&PLACES)).to_owned(),
            "N" => person(r),
            "q" => (*r.pick(f.quotes)).to_owned(),
            "n" => r.between(3, 12).to_string(),
            "m" => (r.between(4, 60) * 50).to_string(),
            "p" => r.between(11, 68).to_string(),
            "d" => (*r.pick(&f.weekdays)).to_owned(),
            "t" => {
                let tail = *r.pick(f.tails);
                tail.replace("{L}", r.pick::<&str>(&PLACES))
            }
            _ => String::new(),
        };
        out.push_str(&if up { capital(&text) } else { text });
    }
    out.push_str(rest);
    out
}

/// What an item is about and in which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Story {
    /// Seed of the wording; two items with the same story read the same.
    pub seed: u64,
    /// Language.
    pub language: Language,
    /// Main topic.
    pub primary: u8,
    /// Side topic, about a quarter of the body.
    pub secondary: Option<u8>,
    /// Length of the body in words.
    pub words: u32,
}

impl Story {
    fn vocabulary(&self, side: bool) -> Option<&'static Vocabulary> {
        let topic = if side {
            self.secondary.unwrap_or(self.primary)
        } else {
            self.primary
        };
        vocabulary(self.language, topic).or_else(|| vocabulary(self.language, self.primary))
    }

    /// The headline; `attempt` gives another wording of the same story.
    #[must_use]
    pub fn headline(&self, attempt: u64) -> String {
        let (f, mut r) = (forms(self.language), Rng::of(self.seed, &[1, attempt]));
        let Some(v) = self.vocabulary(false) else {
            return String::new();
        };
        let form = *r.pick(f.headlines);
        capital(&fill(form, f, v, &mut r))
    }

    /// A teaser of one or two sentences.
    #[must_use]
    pub fn summary(&self) -> String {
        let (f, mut r) = (forms(self.language), Rng::of(self.seed, &[2]));
        let Some(v) = self.vocabulary(false) else {
            return String::new();
        };
        let form = *r.pick(f.leads);
        capital(&fill(form, f, v, &mut r))
    }

    /// Free tags: terms of the topic, lower-case.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let mut r = Rng::of(self.seed, &[3]);
        let Some(v) = self.vocabulary(false) else {
            return Vec::new();
        };
        let n = r.between(1, 3);
        let mut tags: Vec<String> = terms(v, &mut r)
            .iter()
            .take(n)
            .map(|t| t.to_lowercase())
            .collect();
        tags.dedup();
        tags
    }

    /// The body as HTML. `revision` 0 is the first version; a later one opens with what was changed.
    #[must_use]
    pub fn body_html(&self, revision: u32) -> String {
        let (f, mut r) = (forms(self.language), Rng::of(self.seed, &[4]));
        let mut html = String::with_capacity(self.words as usize * 8);
        for i in 1..=revision {
            let mut u = Rng::of(self.seed, &[5, u64::from(i)]);
            if let Some(v) = self.vocabulary(false) {
                let form = *u.pick(f.updates);
                html.push_str(&format!("<p>{}</p>\n", fill(form, f, v, &mut u)));
            }
        }
        let (mut words, mut paragraphs, mut last) = (0, 0, usize::MAX);
        while words < self.words as usize {
            if paragraphs > 0
                && paragraphs % 4 == 0
                && let Some(v) = self.vocabulary(false)
            {
                let form = *r.pick(f.headings);
                html.push_str(&format!(
                    "<h2>{}</h2>\n",
                    capital(&fill(form, f, v, &mut r))
                ));
            }
            let mut text = String::new();
            for _ in 0..r.between(2, 4) {
                let side = self.secondary.is_some() && r.chance(0.25);
                let Some(v) = self.vocabulary(side) else {
                    return html;
                };
                let mut form = r.below(f.sentences.len());
                if form == last {
                    form = (form + 1) % f.sentences.len();
                }
                last = form;
                let sentence = capital(&fill(f.sentences[form], f, v, &mut r));
                words += sentence.split_whitespace().count();
                text.push_str(&sentence);
                text.push(' ');
                if words + 30 > BODY_WORDS.1 {
                    words = BODY_WORDS.1;
                    break;
                }
            }
            let tag = if paragraphs > 1 && r.chance(0.08) {
                "blockquote"
            } else {
                "p"
            };
            html.push_str(&format!("<{tag}>{}</{tag}>\n", text.trim_end()));
            paragraphs += 1;
        }
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(seed: u64, language: Language, primary: u8) -> Story {
        Story {
            seed,
            language,
            primary,
            secondary: None,
            words: 400,
        }
    }

    #[test]
    fn no_slot_is_left_open() {
        for seed in 0..2000 {
            let l = [Language::En, Language::De, Language::Es][seed as usize % 3];
            let s = story(seed, l, 0);
            let all = [s.headline(0), s.summary(), s.body_html(2)].concat();
            assert!(!all.contains(['{', '}', '^']), "{all}");
            assert!(
                s.headline(0)
                    .chars()
                    .next()
                    .is_some_and(|c| !c.is_lowercase())
            );
            assert!(
                (15..=140).contains(&s.headline(0).chars().count()),
                "{}",
                s.headline(0)
            );
        }
    }

    #[test]
    fn a_body_names_its_topic_more_than_any_other() {
        for topic in 0..mediaflow_shared::topics::TOPICS as u8 {
            let text = story(9, Language::En, topic).body_html(0).to_lowercase();
            let hits = |t: u8| {
                let v = vocabulary(Language::En, t).unwrap();
                v.terms
                    .iter()
                    .map(|w| text.matches(&w.to_lowercase()).count())
                    .sum::<usize>()
            };
            let best = (0..mediaflow_shared::topics::TOPICS as u8)
                .max_by_key(|t| hits(*t))
                .unwrap();
            assert!(
                hits(topic) * 10 >= hits(best) * 8,
                "{topic}: {} against {best}: {}",
                hits(topic),
                hits(best)
            );
        }
    }
}
