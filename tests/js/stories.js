// Sixty stories of six desks, as the import route takes them. Invented, and different enough from each
// other that none is a near-duplicate.

const MINUTE_MS = 60_000;

/** Author, words that place a story at its desk, and ten stories: a headline and its teaser. */
const desks = {
  football: {
    author: "Nora Lindqvist",
    words:
      "The football club, its striker and the coach spoke of the match, the goal, the league, the players, the " +
      "stadium and the championship final.",
    stories: [
      ["Late header sends Harbour Town to the cup final", "A goal in the 89th minute ends a wait of forty years, and empties the bars along the quay."],
      ["The goalkeeper who studies at night", "She keeps clean sheets on Saturdays and writes about bridges during the week."],
      ["Why the league wants shorter pauses", "Matches now last 104 minutes. The referees have a plan, the broadcasters another."],
      ["Three points, one crutch: the captain plays on", "Nobody knew how bad the ankle was until the team bus had left."],
      ["A village pitch and its last season", "The sea comes closer each winter. The club plays until the water stays."],
      ["Transfer window: what a left back costs now", "Eleven clubs looked for the same player. Only one of them had asked him."],
      ["The coach who never raises her voice", "Her players say that they hear her best when she says nothing."],
      ["From the second division to the championship in 400 days", "A small budget, a large archive of corner kicks, and a bus that broke down twice."],
      ["Fans buy back the stadium they lost in 2009", "It took 31,000 people, one notary and a great deal of cake."],
      ["Penalties: the science of the last step", "Who pauses scores more often. Who looks at the corner scores less."],
    ],
  },
  science: {
    author: "Dr. Amara Osei",
    words:
      "Researchers at the laboratory published a study of physics; scientists measured particles in an experiment " +
      "and the research surprised physicists and astronomers.",
    stories: [
      ["A clock that loses one second in forty billion years", "Physicists tick with light instead of microwaves, and feel the height of a staircase."],
      ["Deep-sea sponges remember warm centuries", "Their skeletons keep a record that no thermometer ever took."],
      ["The telescope that listens to silence", "In a valley without radio, astronomers wait for the first hydrogen."],
      ["How a crow counts to four", "In the laboratory the birds answered aloud, and planned the number beforehand."],
      ["Neutrinos seen where nobody looked", "A detector built for something else found eleven of them in a weekend."],
      ["Glass that heals itself overnight", "The crack is gone by morning. The chemists first took it for a mistake."],
      ["Mapping the wind inside a leaf", "A camera with a trillion frames a second shows how plants breathe out."],
      ["The oldest ice on Earth is 1.2 million years deep", "Ten winters of drilling end with a cylinder that fizzes in water."],
      ["Why bees sleep in pairs", "A biologist left the lamp on, and changed what we know of night."],
      ["A quantum memory that survives the tram", "The laboratory lies above line 6. The experiment learned its timetable."],
    ],
  },
  climate: {
    author: "Jonas Hartmann",
    words:
      "The climate, emissions, carbon, the weather and the environment: heat, drought, floods and renewable energy " +
      "concern scientists and the forest alike.",
    stories: [
      ["The river that got its bends back", "Twelve kilometres of concrete are gone. The beavers came before the plans did."],
      ["Heat maps of a city without trees", "One street, two sides, nine degrees. What shade is worth in July."],
      ["A bank for seeds that nobody plants", "In a former mine lie the tomatoes of a warmer century."],
      ["Wind farms learn to step aside for cranes", "A camera sees the flock, a rotor waits ninety seconds."],
      ["Drought returns a drowned village", "The church tower stands in the open again, and so do old quarrels."],
      ["Who pays when the glacier is gone", "A valley sues for what the melting costs. The judges went up to look."],
      ["Floods: the meadow that saved a town", "It was to become a car park. Now it holds four million cubic metres."],
      ["Cement without smoke", "A kiln of electricity and a recipe from antiquity cut emissions by half."],
      ["The forest wardens of the night", "Microphones hear chainsaws from three kilometres away. And owls."],
      ["Winter without snow: what a resort sells now", "Silence, says the mayor, and means it as an offer."],
    ],
  },
  politics: {
    author: "Ines Carvalho",
    words:
      "The government, the parliament, the minister, the election, voters, the coalition and the opposition party " +
      "debated the law and the vote.",
    stories: [
      ["Parliament votes to publish its own algorithms", "What sorts files and petitions is to be open to all. The opposition wanted it sooner."],
      ["A coalition of five, and a table too small", "The parties agree on housing, on trains, and on adjourning."],
      ["The mayor who was chosen by lot", "A town drew its council from a drum. Four years later it would do so again."],
      ["Minister wants one form instead of eleven", "The shortest law of the year has a single page and many enemies."],
      ["Voting at sixteen: a first look at the turnout", "They came in groups, they came late, and they knew the programme."],
      ["The speech that was not given", "Twenty minutes of silence in the chamber, and a majority afterwards."],
      ["Why the border town wants two time zones", "Half of it works over there. The election decides about the clocks."],
      ["Opposition proposes a tax on empty flats", "In the capital there are 18,000 of them, the statisticians say. Or 40,000."],
      ["An archive opens after fifty years", "The minutes of a government that did not know how long it would last."],
      ["What voters ask a chatbot, and what it answers", "A study of 9,000 conversations in the week before the election."],
    ],
  },
  music: {
    author: "Mirela Popescu",
    words:
      "The band, the singer, the album, the concert, the orchestra and the festival: musicians played songs on stage " +
      "for fans of music.",
    stories: [
      ["The orchestra that tunes to the rain", "In a hall with a tin roof the conductor waits for the weather."],
      ["Her first album in thirty years is eleven minutes long", "Every song was recorded once, in the kitchen, with the window open."],
      ["A festival without headliners sells out", "Nobody knew who would play. That was the idea."],
      ["The last maker of glass harmonicas", "Three orders a year, and each one takes two."],
      ["How a chorus crossed the strait", "They recorded on both sides of the water, at the same hour."],
      ["Why concerts begin later in the south", "An old quarrel between cooks and violinists, settled at half past nine."],
      ["The drummer who hears with his feet", "On stage he stands barefoot. The engineers built him a floor."],
      ["One song, 212 versions", "A lullaby travelled further than any of those who sang it."],
      ["Streaming pays by the minute, composers by the second", "What a slow piece earns, and why they are getting longer."],
      ["The organ that plays until 2640", "Today it changes its chord. Four hundred people came to listen."],
    ],
  },
  economy: {
    author: "Tomasz Wolski",
    words:
      "The economy, the market, investors, the bank, interest rates, inflation, prices and the company's shares " +
      "moved as traders expected growth.",
    stories: [
      ["The central bank holds still, and everybody moves", "Interest rates stay. Rents, shares and one resignation do not."],
      ["A bakery chain without a head office", "Forty shops, one spreadsheet, no manager: the company that halves itself."],
      ["Why repairing pays again", "Inflation made the new toaster dear. A trade that was declared dead is hiring."],
      ["The port where robots strike", "A software update stopped the cranes. The dockers helped out."],
      ["Four days, full pay: the first balance", "Sixty companies tried it for two years. Three went back."],
      ["Investors discover the sewer", "Clean water is a market now. The pipes are from 1911."],
      ["What a container costs this morning", "A graph that shook the world has become boring. Traders are relieved."],
      ["The town that prints its own money", "It loses two per cent a month, on purpose, and so it is spent."],
      ["Chips from the potato field", "A factory needs water, power and peace. The farmers had two of them."],
      ["Pension funds buy forests", "Growth of three per cent a year, whatever the market says."],
    ],
  },
};

/**
 * The sixty, newest first, one desk after the other.
 *
 * `site` is where they can be read. With `image`, which makes the URL of a story's picture from its
 * number, four stories in five have a picture.
 *
 * @param {{ now?: number, site?: string, image?: (number: number) => string }} options
 * @returns {object[]} for `POST /admin/v1/import/content`
 */
export function stories({ now = Date.now(), site = "https://daily.example", image } = {}) {
  const names = Object.keys(desks);
  return Array.from({ length: 60 }, (_, number) => {
    const desk = desks[names[number % names.length]];
    const [title, summary] = desk.stories[Math.floor(number / names.length)];
    const tail = Array.from({ length: 60 }, (_, word) => `detail${(number * 7919 + word * 104_729) % 9973}`);
    return {
      version: 1,
      source: "wp-daily",
      source_cms: "wordpress",
      original_id: `story-${number}`,
      brand: "daily",
      title,
      summary,
      body: `<p>${summary} ${desk.words} ${title}.</p><p>${desk.words} ${tail.join(" ")}</p>`,
      author: desk.author,
      published: now - (20 + number * 9) * MINUTE_MS,
      url: `${site}/story-${number}`,
      images: image && number % 5 !== 3 ? [{ url: image(number), alt: "" }] : [],
      ingested_at: new Date(now).toISOString(),
    };
  });
}
