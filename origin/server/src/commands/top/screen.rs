//! The screen: two columns of sections, the last minutes of events and lag as lines at the bottom.

use super::board::{Board, Mood, Section};
use super::now_s;
use super::scrape::Scrape;
use anyhow::Result;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Row, Sparkline, Table};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Looks that the lines at the bottom remember: more than a terminal has columns.
const HISTORY: usize = 400;
/// How long a key waits to be seen.
const KEYS_EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
struct History {
    events: VecDeque<u64>,
    lag: VecDeque<u64>,
}

impl History {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "heights of a drawing"
    )]
    fn add(&mut self, board: &Board) {
        for (line, value) in [
            (&mut self.events, board.events_per_s),
            (&mut self.lag, board.lag_records),
        ] {
            line.push_front(value.max(0.0) as u64);
            line.truncate(HISTORY);
        }
    }
}

/// Shows until `q`, Escape or Ctrl-C.
pub async fn run(client: &reqwest::Client, origins: &[String], every: Duration) -> Result<()> {
    let mut terminal = ratatui::try_init()?;
    let outcome = show(&mut terminal, client, origins, every).await;
    ratatui::restore();
    outcome
}

async fn show(
    terminal: &mut ratatui::DefaultTerminal,
    client: &reqwest::Client,
    origins: &[String],
    every: Duration,
) -> Result<()> {
    let mut history = History::default();
    let mut before = Scrape::of(client, origins).await;
    let mut board = Board::of(&before, &before, now_s());
    let mut due = Instant::now() + every;
    loop {
        terminal.draw(|frame| draw(frame, &board, &history, origins))?;
        loop {
            // Polling blocks its thread for a moment; this command has nothing else to do.
            if tokio::task::block_in_place(|| event::poll(KEYS_EVERY))? {
                match event::read()? {
                    Event::Key(k)
                        if matches!(k.code, KeyCode::Char('q') | KeyCode::Esc)
                            || (k.code == KeyCode::Char('c')
                                && k.modifiers.contains(KeyModifiers::CONTROL)) =>
                    {
                        return Ok(());
                    }
                    Event::Resize(..) => break,
                    _ => {}
                }
            }
            if Instant::now() >= due {
                let after = Scrape::of(client, origins).await;
                board = Board::of(&before, &after, now_s());
                history.add(&board);
                before = after;
                due = Instant::now() + every;
                break;
            }
        }
    }
}

fn draw(frame: &mut Frame<'_>, board: &Board, history: &History, origins: &[String]) {
    let [head, origins_at, middle, lines] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::try_from(origins.len()).unwrap_or(8).min(8) + 2),
        Constraint::Min(10),
        Constraint::Length(6),
    ])
    .areas(frame.area());
    frame.render_widget(
        Line::from(" mediaflow top — q ends").bold().reversed(),
        head,
    );
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(middle);
    let mut sections = board.sections.iter();
    if let Some(s) = sections.next() {
        section(frame, s, origins_at);
    }
    let rest: Vec<&Section> = sections.collect();
    column(frame, rest.get(..2).unwrap_or_default(), left);
    column(frame, rest.get(2..).unwrap_or_default(), right);
    let [events, lag] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(lines);
    line(
        frame,
        &format!(" events {:.0}/s ", board.events_per_s),
        &history.events,
        events,
    );
    line(
        frame,
        &format!(" lag {:.0} records ", board.lag_records),
        &history.lag,
        lag,
    );
}

fn column(frame: &mut Frame<'_>, sections: &[&Section], area: Rect) {
    let heights = sections
        .iter()
        .map(|s| Constraint::Fill(u16::try_from(s.rows.len()).unwrap_or(50).clamp(1, 50) + 2));
    let areas = Layout::vertical(heights).split(area);
    for (s, area) in sections.iter().zip(areas.iter()) {
        section(frame, s, *area);
    }
}

fn section(frame: &mut Frame<'_>, section: &Section, area: Rect) {
    let rows = section.rows.iter().map(|r| {
        let color = match r.mood {
            Mood::Good => Color::Reset,
            Mood::Odd => Color::Yellow,
            Mood::Bad => Color::Red,
        };
        Row::new([Cell::from(r.name.clone()), Cell::from(r.value.clone())])
            .style(Style::new().fg(color))
    });
    let table = Table::new(rows, [Constraint::Max(32), Constraint::Fill(1)])
        .block(Block::bordered().title(format!(" {} ", section.title)));
    frame.render_widget(table, area);
}

fn line(frame: &mut Frame<'_>, title: &str, values: &VecDeque<u64>, area: Rect) {
    let width = usize::from(area.width.saturating_sub(2));
    let shown: Vec<u64> = values.iter().take(width).rev().copied().collect();
    let line = Sparkline::default()
        .block(Block::bordered().title(title.to_owned()))
        .data(shown)
        .style(Style::new().fg(Color::Cyan));
    frame.render_widget(line, area);
}
