import Glibc
import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// What is counted, and how the page of it looks.
@Suite struct MetricsTests {
  /// A moment so many nanoseconds after the start, and milliseconds of the wall clock.
  private func at(_ nanoseconds: UInt64, _ timestamp: Timestamp = 1_000) -> Moment {
    Moment(instant: Instant(nanoseconds: nanoseconds), timestamp: timestamp)
  }

  private func submitted(
    _ number: JobNumber, task: String = "square", pool: String = "a", at timestamp: Timestamp
  ) -> Record {
    .jobSubmitted(
      JobSubmitted(
        number: number, id: JobID("j\(number)")!, task: task, pool: pool, args: "[]", options: nil,
        at: timestamp))
  }

  private let failure = JobError(code: .raised, type: "E", message: "m", attempt: 1)

  /// Applies records as the engine does, all of one event at one moment.
  private func apply(
    _ records: [Record], to store: inout JobStore, _ metrics: inout Metrics, at moment: Moment
  ) throws {
    for record in records { try store.apply(record) }
    metrics.note(records, from: 0, store: store, at: moment)
  }

  private func jobs(
    _ metrics: Metrics, _ store: JobStore, _ announced: [(pool: String, tasks: [String])] = []
  ) throws -> MetricsText {
    var page = MetricsPage()
    metrics.writeJobs(to: &page, store: store, announced: announced)
    return try MetricsText(page.bytes)
  }

  @Test func `jobs are counted as they come and end`() throws {
    var store = JobStore()
    var metrics = Metrics()
    let task = "a\"b\\c\nd\r\ne"
    for number in 1...4 as ClosedRange<JobNumber> {
      try apply([submitted(number, task: task, at: 1_000)], to: &store, &metrics, at: at(1))
    }
    try apply(
      [
        .attemptStarted(1, attempt: 1, at: 1_000), .attemptStarted(2, attempt: 1, at: 1_000),
        .jobEnded(3, .cancelled, at: 1_000),
      ], to: &store, &metrics, at: at(2))
    try apply(
      [
        .jobEnded(1, .succeeded("1"), at: 1_001), .attemptFailed(2, failure, retryAt: 2_000),
        .jobQueued(2), .attemptStarted(2, attempt: 2, at: 1_001),
        .jobEnded(2, .failed(failure), at: 1_001), .attemptStarted(4, attempt: 1, at: 1_001),
        .attemptRevoked(4, .interrupted),
      ], to: &store, &metrics, at: at(3))
    let page = try jobs(metrics, store)
    let labels = #"task="a\"b\\c\nd"# + "\r" + #"\ne",pool="a""#
    func sample(_ name: String, _ more: String = "") -> Double? {
      page.samples["\(name){\(labels)\(more)}"]
    }
    #expect(sample("lido_jobs_submitted_total") == 4)
    #expect(sample("lido_jobs_finished_total", ",outcome=\"succeeded\"") == 1)
    #expect(sample("lido_jobs_finished_total", ",outcome=\"failed\"") == 1)
    #expect(sample("lido_jobs_finished_total", ",outcome=\"cancelled\"") == 1)
    #expect(sample("lido_job_failures_total", ",code=\"raised\"") == 1)
    #expect(sample("lido_job_failures_total", ",code=\"exited\"") == nil)
    #expect(sample("lido_job_retries_total") == 1)
    #expect(page.samples["lido_job_interruptions_total{reason=\"crash\"}"] == 1)
    #expect(page.samples["lido_job_interruptions_total{reason=\"shutdown\"}"] == 0)
    #expect(page.samples["lido_job_run_seconds_count"] == 2, "the third never ran")
  }

  @Test func `a job is timed to the nanosecond of the turns that it passed`() throws {
    var store = JobStore()
    var metrics = Metrics()
    try apply([submitted(1, at: 1_000)], to: &store, &metrics, at: at(1_000_000))
    try apply([.attemptStarted(1, attempt: 1, at: 1_000)], to: &store, &metrics, at: at(1_200_000))
    try apply(
      [.jobEnded(1, .succeeded("1"), at: 1_001)], to: &store, &metrics, at: at(1_260_000, 1_001))
    let page = try jobs(metrics, store)
    #expect(abs((page.samples["lido_job_wait_seconds_sum"] ?? 0) - 0.000_2) < 1e-12)
    #expect(abs((page.samples["lido_job_run_seconds_sum"] ?? 0) - 0.000_06) < 1e-12)
    #expect(page.samples["lido_job_run_seconds_bucket{le=\"0.0001\"}"] == 1)
    #expect(page.samples["lido_job_wait_seconds_bucket{le=\"0.0001\"}"] == 0)
    #expect(page.samples["lido_job_wait_seconds_bucket{le=\"0.00025\"}"] == 1)
  }

  @Test func `a job of an earlier start is timed by what it keeps`() throws {
    var store = JobStore()
    for record in [submitted(1, at: 1_000), .attemptStarted(1, attempt: 1, at: 1_020)] {
      try store.apply(record)
    }
    var metrics = Metrics()
    // The wall clock was set back meanwhile: a sum that falls is a restart to Prometheus.
    try apply([submitted(2, at: 5_000)], to: &store, &metrics, at: at(1))
    for (number, timestamp): (JobNumber, Timestamp) in [(1, 1_320), (2, 4_000)] {
      if number == 2 { try store.apply(.attemptStarted(2, attempt: 1, at: 4_500)) }
      try apply(
        [.jobEnded(number, .succeeded("1"), at: timestamp)], to: &store, &metrics,
        at: at(2, timestamp))
    }
    let page = try jobs(metrics, store)
    #expect(abs((page.samples["lido_job_wait_seconds_sum"] ?? 0) - 0.02) < 1e-12)
    #expect(abs((page.samples["lido_job_run_seconds_sum"] ?? 0) - 0.3) < 1e-12)
    #expect(page.samples["lido_job_run_seconds_count"] == 2)
  }

  @Test func `a submission that is withdrawn was never counted`() throws {
    var store = JobStore()
    var metrics = Metrics()
    try apply([submitted(1, at: 1_000)], to: &store, &metrics, at: at(1))
    metrics.noteWithdrawal(try #require(store.brief(of: 1)), store)
    try apply([.jobWithdrawn(1)], to: &store, &metrics, at: at(1))
    let page = try jobs(metrics, store)
    #expect(page.samples["lido_jobs_submitted_total{task=\"square\",pool=\"a\"}"] == 0)
    #expect(
      page.samples["lido_jobs_finished_total{task=\"square\",pool=\"a\",outcome=\"cancelled\"}"]
        == 0)
  }

  @Test func `tasks that clients have named are counted together`() throws {
    var store = JobStore()
    var metrics = Metrics()
    // Before the pool has announced anything, each is somebody.
    try apply([submitted(1, task: "m0:f", at: 1_000)], to: &store, &metrics, at: at(1))
    metrics.noteTasks(["m1:f"], of: "a")
    for number in 2...1_200 as ClosedRange<JobNumber> {
      let task = "m\(number - 2):f"
      try apply([submitted(number, task: task, at: 1_000)], to: &store, &metrics, at: at(1))
    }
    // The one that is not configured has no more lines than there may be.
    for number in 1_201...2_400 as ClosedRange<JobNumber> {
      let record = submitted(number, task: "m\(number):f", pool: "b", at: 1_000)
      try apply([record], to: &store, &metrics, at: at(1))
    }
    let page = try jobs(metrics, store)
    func count(_ task: String, _ pool: String) -> Double? {
      page.samples["lido_jobs_submitted_total{task=\"\(task)\",pool=\"\(pool)\"}"]
    }
    #expect(count("m0:f", "a") == 2 && count("m1:f", "a") == 1 && count("m2:f", "a") == nil)
    #expect(count("(other)", "a") == 1_197)
    let lines = page.samples.keys.count { $0.hasPrefix("lido_jobs_submitted_total") }
    #expect(lines == 1_001)
    #expect(count("(other)", "b").map { $0 > 200 } == true)
    metrics.noteTasks(["m5:f"], of: "a")
    try apply([submitted(2_401, task: "m5:f", at: 1_000)], to: &store, &metrics, at: at(1))
    let after = try jobs(metrics, store)
    #expect(after.samples["lido_jobs_submitted_total{task=\"m5:f\",pool=\"a\"}"] == 1)
  }

  @Test func `tasks that are announced are there before their first job`() throws {
    var store = JobStore()
    var metrics = Metrics()
    // One task of two pools: each has its own line, whichever was used last.
    for (number, pool) in ["a", "b", "a", "a", "b"].enumerated() {
      try apply(
        [submitted(JobNumber(number + 1), pool: pool, at: 1)], to: &store, &metrics, at: at(1))
    }
    let page = try jobs(metrics, store, [("a", ["echo", "square"]), ("c", ["square"])])
    let found = page.samples.filter { $0.key.hasPrefix("lido_jobs_submitted_total") }
    #expect(
      found == [
        "lido_jobs_submitted_total{task=\"square\",pool=\"a\"}": 3,
        "lido_jobs_submitted_total{task=\"square\",pool=\"b\"}": 2,
        "lido_jobs_submitted_total{task=\"square\",pool=\"c\"}": 0,
        "lido_jobs_submitted_total{task=\"echo\",pool=\"a\"}": 0,
      ])
  }

  @Test func `requests, workers and the disk are counted`() throws {
    var metrics = Metrics()
    for (route, method, status): (Int, HTTPMethod?, Int) in [
      (0, .get, 200), (1, .post, 202), (1, .post, 202), (1, .delete, 503), (-1, nil, 501),
      (-1, .query, 405), (0, .get, 200),
    ] {
      metrics.noteRequest(route: route, method: method, status: status, nanoseconds: 1_000_000)
    }
    metrics.noteWorkerExit(pool: "a", reason: "signalled")
    metrics.noteRefusal(.queueFull)
    metrics.sync.observe(nanoseconds: 2)
    metrics.snapshotAt = 5_250
    var page = MetricsPage()
    metrics.writeRequests(to: &page, routes: ["list", "submit"])
    metrics.writeWorkers(to: &page, pools: ["a", "b"])
    metrics.writeStorage(to: &page)
    let text = try MetricsText(page.bytes)
    let requests = text.samples.filter { $0.key.hasPrefix("lido_http_requests_total") }
    #expect(
      requests == [
        "lido_http_requests_total{route=\"list\",method=\"GET\",code=\"200\"}": 2,
        "lido_http_requests_total{route=\"submit\",method=\"POST\",code=\"202\"}": 2,
        "lido_http_requests_total{route=\"submit\",method=\"DELETE\",code=\"503\"}": 1,
        "lido_http_requests_total{route=\"none\",method=\"other\",code=\"501\"}": 1,
        "lido_http_requests_total{route=\"none\",method=\"QUERY\",code=\"405\"}": 1,
      ])
    #expect(text.samples["lido_http_request_seconds_count"] == 7)
    #expect(text.samples["lido_worker_exits_total{pool=\"a\",reason=\"signalled\"}"] == 1)
    #expect(text.samples["lido_worker_exits_total{pool=\"b\",reason=\"lost\"}"] == 0)
    #expect(text.samples["lido_journal_sync_seconds_count"] == 1)
    #expect(text.samples["lido_snapshot_last_success_timestamp_seconds"] == 5.25)
    let refusals = try jobs(metrics, JobStore())
    #expect(refusals.samples["lido_refusals_total{code=\"queue_full\"}"] == 1)
  }

  @Test func `a histogram is cumulative`() throws {
    var histogram = Histogram(Histogram.Bounds.ofRequests)
    for nanoseconds: UInt64 in [0, 100_000, 100_001, 300_000_000, 61_000_000_000] {
      histogram.observe(nanoseconds: nanoseconds)
    }
    histogram.observe(milliseconds: -5)
    var page = MetricsPage()
    page.histogram("times", "Help.", histogram)
    let text = try MetricsText(page.bytes)
    #expect(text.types == ["times": "histogram"] && text.helps == ["times": "Help."])
    #expect(text.samples["times_bucket{le=\"0.0001\"}"] == 3)
    #expect(text.samples["times_bucket{le=\"0.00025\"}"] == 4)
    #expect(text.samples["times_bucket{le=\"60.0\"}"] == 5)
    #expect(text.samples["times_bucket{le=\"+Inf\"}"] == 6)
    #expect(abs((text.samples["times_sum"] ?? 0) - 61.300_200_001) < 1e-9)
  }

  @Test func `a family has its header once, before its samples, and none without`() throws {
    var page = MetricsPage()
    page.family("first", .gauge, "Nothing to tell.")
    page.family("second", .counter, "Two samples.")
    page.sample(1, ("a", "x"))
    page.sample(2.5, ("a", "y"), ("b", "z"))
    page.single("third", .gauge, "One.", 3)
    #expect(
      String(decoding: page.bytes, as: UTF8.self) == """
        # HELP second Two samples.
        # TYPE second counter
        second{a="x"} 1
        second{a="y",b="z"} 2.5
        # HELP third One.
        # TYPE third gauge
        third 3

        """)
  }

  @Test func `an instant gives way to that of a younger job`() {
    var table = InstantTable(capacity: 4)
    #expect(table[1] == nil)
    for number in 1...5 as ClosedRange<JobNumber> {
      table.set(number, Instant(nanoseconds: number * 10))
    }
    #expect(table[1] == nil && table[2] == 20 && table[5] == 50 && table[9] == nil)
  }
}

/// What the system says of processes.
@Suite struct ProcessUsageTests {
  @Test func `this process is seen as it is`() throws {
    let memory = try #require(ProcessUsage.memory(of: getpid()))
    #expect(memory.resident > 1 << 20 && memory.virtual >= memory.resident)
    #expect(ProcessUsage.cpuSeconds > 0)
    let before = try #require(ProcessUsage.descriptorCount)
    #expect(before >= 3 && before < (ProcessUsage.descriptorsMax ?? 0))
  }

  @Test func `a process that is not there has no memory`() {
    // Above the largest that a kernel gives (proc(5), pid_max).
    #expect(ProcessUsage.memory(of: 1 << 30) == nil)
  }
}
