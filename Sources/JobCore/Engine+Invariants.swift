import DequeModule

/// What always holds between two events. Tests check it after every one.
extension Engine {
  /// Names every invariant that does not hold; empty when all do. Costs time in proportion to the
  /// number of jobs: for tests and debug builds.
  public func brokenInvariants() -> [String] {
    var broken: [String] = []
    func expect(_ holds: Bool, _ name: @autoclosure () -> String) {
      if !holds { broken.append(name()) }
    }
    var counts: [JobState: Int] = [:]
    var poolCounts: [Name: [JobState: Int]] = [:]
    var openBytes = 0
    var finishedBytes = 0
    store.forEachInSnapshotOrder { job in
      counts[job.state, default: 0] += 1
      poolCounts[job.pool, default: [:]][job.state, default: 0] += 1
      if job.state.isFinal {
        if job.options?.chunk == nil { finishedBytes += job.retainedBytes }
        expect(!deadlines.contains(job.number), "final job \(job.number) has a deadline")
      } else {
        openBytes += job.submittedBytes
      }
      expect(store.number(of: job.id) == job.number, "job \(job.number) is not found by its id")
      if let key = job.options?.idempotencyKey {
        expect(store.number(ofKey: key) == job.number, "job \(job.number) not found by its key")
      }
      expect(job.number < store.nextNumber, "job \(job.number) is ahead of the next number")
      expect(
        job.state != .scheduled || deadlines.contains(job.number),
        "scheduled job \(job.number) has no deadline")
    }
    for state in JobState.allCases {
      expect(
        counts[state, default: 0] == store.count(of: state), "the count of \(state) is wrong")
    }
    let pools = store.poolsOfJobs
    expect(
      poolCounts.count == pools.count && pools.allSatisfy { poolCounts[$0] != nil },
      "the pools that jobs are of are wrong")
    for pool in pools {
      let counted = JobState.allCases.map { poolCounts[pool]?[$0] ?? 0 }
      expect(
        counted == JobState.allCases.map { store.count(of: $0, pool: pool) },
        "the counts of pool \(store.names[pool]) are wrong")
    }
    let (open, finished) = bytesOfMaps
    expect(openBytes + open == store.openBytes, "the bytes of open jobs are wrong")
    expect(
      finishedBytes + finished == store.finishedBytes, "the bytes of finished jobs are wrong")
    broken += brokenMapInvariants()
    broken += brokenPoolInvariants()
    broken += brokenSlotInvariants()
    broken += brokenLineInvariants()
    return broken
  }

  /// Every queued job stands in the line of its pool once, and nothing else counts.
  private func brokenLineInvariants() -> [String] {
    var broken: [String] = []
    var waiting = Set<JobNumber>()
    for (line, queue) in ready.enumerated() {
      var count = 0
      for number in queue.entries {
        guard let job = store[number], job.state == .queued else { continue }
        count += 1
        if Int(job.pool.index) != line { broken.append("job \(number) stands in a wrong line") }
        if !waiting.insert(number).inserted { broken.append("job \(number) stands in line twice") }
      }
      if count != queue.count {
        broken.append("a line counts \(queue.count) jobs and holds \(count)")
      }
    }
    if waiting.count != store.count(of: .queued) {
      broken.append("\(waiting.count) jobs in line, not \(store.count(of: .queued))")
    }
    return broken
  }

  private func brokenSlotInvariants() -> [String] {
    var broken: [String] = []
    var held = Set<JobNumber>()
    var limited = 0
    for pool in pools {
      var free = 0
      for slot in pool.slots {
        free += slot.room
        if slot.calls.count > 1, slot.calls.contains(where: \.isExclusive) {
          broken.append("a call that is to have its worker to itself has company")
        }
        for call in slot.calls {
          if call.ending == .withdrawn {
            if store[call.job] != nil { broken.append("a withdrawn job is still there") }
            continue
          }
          if !held.insert(call.job).inserted { broken.append("job \(call.job) runs twice") }
          if store[call.job]?.state != .running {
            broken.append("job \(call.job) is held by a slot and is not running")
          }
        }
        if let first = slot.calls.first, first.ending == nil, timeout(of: first.job) != nil {
          limited += 1
          if !deadlines.contains(first.job) {
            broken.append("job \(first.job) runs without its time limit")
          }
        }
      }
      if free != pool.freeCredit { broken.append("the free credit of \(pool.name) is wrong") }
    }
    var left = 0
    store.forEachDropped { if deadlines.contains($0) { left += 1 } }
    if deadlines.count != store.count(of: .scheduled) + limited + left {
      broken.append("\(deadlines.count) deadlines, some of them for nothing")
    }
    let alone = held.filter { store[$0].map(isOnLastChance) ?? false }
    if !alone.isEmpty, held.count > 1 { broken.append("a job on its last chance has company") }
    var onLastChance = Set<JobNumber>()
    store.forEachOpen { if isOnLastChance($0) { onLastChance.insert($0.number) } }
    if onLastChance != lastChances { broken.append("the jobs on their last chance are wrong") }
    if held.count != store.count(of: .running) {
      broken.append("\(store.count(of: .running)) jobs run, but slots hold \(held.count)")
    }
    return broken
  }
}
