import HTTPServer
import JSON

@testable import JobCore
@testable import JobServer

/// What must always be so.
extension Simulation {
  /// Whether a job may be gone without its client having been told.
  func mayBeDropped(_ ticket: Ticket) -> Bool { plan.isRetentionTight || ticket.isDropAsked }

  /// Whether its job must be there, for the request whose answer is judged.
  private func mustBeThere(_ ticket: Ticket) -> Bool {
    ticket.standing == .accepted && ticket.acceptedAfter < heardRequest && !mayBeDropped(ticket)
  }

  // MARK: What clients hear

  func hear(of ticket: Ticket, _ response: HTTPResponse) {
    guard let handle = Handle.read(response.bytes) else { return fail("no handle") }
    guard let tag = response.tag else { return fail("a handle without an entity tag") }
    // One that was held back, of a job whose names another one has now.
    guard ticket.number == nil || tag.number == ticket.number else { return }
    hear(of: ticket, handle, version: tag.version, body: response.bytes)
  }

  /// A handle may only tell what follows from what was told before.
  func hear(of ticket: Ticket, _ handle: Handle, version: UInt32?, body: [UInt8]?) {
    guard ticket.standing == .accepted, ticket.id == handle.id else { return }
    if version == nil, ticket.isReborn { return }
    let name = "job \(handle.id), \(ticket.args)"
    if handle.attempt > handle.attemptsMax { fail("\(name): attempt \(handle.attempt)") }
    if handle.interruptions > plan.settings.limits.lossesMax {
      fail("\(name) was interrupted \(handle.interruptions) times")
    }
    if handle.state == "cancelled", !ticket.isCancelAsked { fail("\(name) is cancelled by itself") }
    if handle.isFinal, handle.state != "cancelled", ticket.cancelledAt != nil {
      fail("\(name) was told to be cancelled, and \(handle.state)")
    }
    if handle.state == "succeeded", handle.result != World.result(of: ticket.args) {
      fail("\(name) has the result \(handle.result ?? "none")")
    }
    if handle.state == "failed" { judge(handle, name, ticket) }
    var new = Ticket.Told(
      version: version ?? 1, finalVersion: handle.isFinal ? version : nil, handle: handle,
      body: handle.isFinal ? body : nil, sequence: sequence)
    if let told = ticket.told {
      if let version {
        if version < told.version { fail("\(name): version \(version) after \(told.version)") }
        if let final = told.finalVersion, version != final {
          fail("\(name) is final, and its version goes from \(final) to \(version)")
        }
      }
      if told.handle.isFinal {
        if handle.state != told.handle.state || handle.result != told.handle.result
          || handle.errorCode != told.handle.errorCode
        {
          fail("\(name) was \(told.handle.state), and is \(handle.state)")
        }
        if let before = told.body, let body, before != body { fail("\(name) changed its handle") }
        // What is told again was known before.
        new.sequence = told.sequence
      }
      new.version = max(new.version, told.version)
      new.finalVersion = new.finalVersion ?? told.finalVersion
      new.body = new.body ?? told.body
    }
    ticket.told = new
  }

  private func judge(_ handle: Handle, _ name: String, _ ticket: Ticket) {
    switch handle.errorCode {
    case "timed_out":
      if !ticket.canTimeOut { fail("\(name) timed out without a limit") }
    case "interrupted":
      let isGivenUp = handle.interruptions + 1 >= plan.settings.limits.lossesMax
      if !ticket.failsOnInterrupt, !isGivenUp { fail("\(name) was given up too early") }
    case "initializer_failed":
      if world.tally["pool broke"] == 0 { fail("\(name) failed with a pool that is whole") }
    case "pool_terminated":
      if !isPoolEnded(ticket.pool) { fail("\(name): nobody ended its pool") }
    default: break
    }
  }

  /// There is no job to show, or the service cannot say at the moment.
  func hearOfNone(_ response: HTTPResponse, _ ticket: Ticket) {
    switch response.status {
    case 410:
      if mustBeThere(ticket) { fail("\(ticket.args) is gone, and nobody dropped it") }
    case 404:
      if ticket.acceptedAfter < heardRequest,
        ticket.standing == .accepted || ticket.standing == .dropped
      {
        fail("\(ticket.args) was never heard of, says the service")
      }
    case 503: break
    default: fail("a request for \(ticket.args) is answered \(response.status)")
    }
  }

  func hearOfGroup(_ response: HTTPResponse, _ many: [Ticket]) {
    guard response.status == 200 else {
      if response.status != 503 { fail("a request for many is answered \(response.status)") }
      return
    }
    guard let handles = Handle.readMany(response.bytes), handles.count == many.count else {
      return fail("a request for many is not answered in full")
    }
    for (ticket, handle) in zip(many, handles) {
      if !handle.isProblem {
        hear(of: ticket, handle, version: nil, body: nil)
      } else if mustBeThere(ticket) {
        fail("\(ticket.args) is \(handle.errorCode ?? "a problem")")
      }
    }
  }

  func hearResult(_ response: HTTPResponse, _ ticket: Ticket) {
    let told = ticket.standing == .accepted ? ticket.told?.handle : nil
    switch response.status {
    case 200:
      if ticket.standing == .accepted,
        String(decoding: response.bytes, as: UTF8.self) != World.result(of: ticket.args)
      {
        fail("\(ticket.args) has another result")
      }
      if let told, told.isFinal, told.state != "succeeded" { fail("\(ticket.args): a late result") }
    case 424:
      if let told, told.isFinal, told.state == "succeeded" { fail("\(ticket.args): no result") }
    case 409:
      if let told, told.isFinal { fail("\(ticket.args) was final, and is not ready") }
    default: hearOfNone(response, ticket)
    }
  }

  func hearList(_ response: HTTPResponse) {
    guard response.status == 200 else {
      if response.status != 503 { fail("a list is answered \(response.status)") }
      return
    }
    guard let handles = Handle.readMany(response.bytes) else { return fail("no list") }
    if Set(handles.map(\.id)).count != handles.count { fail("a job stands in the list twice") }
    for handle in handles {
      let number = JobID(handle.id).flatMap { life?.server.engine.store.number(of: $0) }
      if number.flatMap({ world.books.chunk($0) }) != nil { fail("a chunk stands in the list") }
      guard let ticket = ticketByID[handle.id] else { continue }
      hear(of: ticket, handle, version: nil, body: nil)
    }
  }

  func hearMetrics(_ response: HTTPResponse) {
    guard response.status == 200, let store = life?.server.engine.store else {
      return fail("metrics are answered \(response.status)")
    }
    var counts: [String: Int] = [:]
    for line in String(decoding: response.bytes, as: UTF8.self).split(separator: "\n") {
      guard line.hasPrefix("lido_jobs{state=\""), let value = line.split(separator: " ").last
      else { continue }
      let state = line.dropFirst(#"lido_jobs{state=""#.utf8.count).prefix { $0 != "\"" }
      counts[String(state), default: 0] += Int(value) ?? 0
    }
    for state in JobState.allCases where counts[state.rawValue] != store.count(of: state) {
      fail("metrics count \(counts[state.rawValue] ?? 0) jobs that are \(state)")
    }
  }

  // MARK: After every event

  func check(_ server: Server) {
    for broken in server.engine.brokenInvariants() { fail(broken) }
    noteWrittenLines()
    checkWritten(by: server)
    checkPools(of: server)
    for number in world.takeTouchedMaps() {
      for wrong in world.books.differences(from: server.engine.store, of: number) { fail(wrong) }
    }
    // Only records change jobs, and only answers what is known of them.
    guard sequence != checkedSequence || answersHeard != checkedAnswers else { return }
    (checkedSequence, checkedAnswers) = (sequence, answersHeard)
    checkTickets(server.engine.store)
    checkMapTickets(server.engine.store)
    checkPoolTickets(server.engine.store)
  }

  /// Every job is that of one ticket, and every ticket's is there and as it was told.
  func checkTickets(_ store: JobStore) {
    var seen: Set<Int> = []
    store.forEachInSnapshotOrder { job in
      if job.options?.chunk != nil { return }
      guard let marker = Int(job.args.dropFirst().dropLast()) else {
        return fail("job \(job.id) has the arguments \(job.args)")
      }
      if !seen.insert(marker).inserted { fail("\(job.args) has two jobs") }
      guard marker > 0 else { return }
      let ticket = tickets[marker - 1]
      let isAsked = outstanding.contains { $0.wish.submits(ticket) }
      if ticket.standing == .none, !isAsked { fail("\(job.args) was refused, and has a job") }
      if ticket.standing == .dropped, !isAsked { fail("\(job.args) was dropped, and is there") }
    }
    for ticket in tickets where ticket.standing == .accepted {
      guard let id = ticket.id.flatMap({ JobID($0) }), let number = store.number(of: id),
        let job = store[number]
      else {
        if !mayBeDropped(ticket) { fail("job \(ticket.id ?? "") of \(ticket.args) is lost") }
        continue
      }
      check(ticket, job)
    }
  }

  private func check(_ ticket: Ticket, _ job: Job) {
    if job.args != ticket.args {
      guard ticket.isContested, mayBeDropped(ticket) else {
        return fail("job \(job.id) has other arguments than it had")
      }
      ticket.standing = .unsure
      return
    }
    if job.number != ticket.number {
      guard ticket.number == nil || mayBeDropped(ticket) else {
        return fail("job \(job.id) was \(ticket.number ?? 0), and is \(job.number)")
      }
      ticket.isAnother(job.number)
    }
    if job.options?.idempotencyKey != ticket.key { fail("job \(job.id) lost its key") }
    guard let told = ticket.told else { return }
    if job.version < told.version {
      fail("job \(job.id) goes back from version \(told.version) to \(job.version)")
    }
    guard told.handle.isFinal else { return }
    if job.state.rawValue != told.handle.state {
      fail("job \(job.id) was told to be \(told.handle.state), and is \(job.state)")
    }
    if let version = told.finalVersion, job.version != version {
      fail("job \(job.id) is final, and its version goes from \(version) to \(job.version)")
    }
  }

  /// Right after a start no retry waits longer than any ever does, whatever the clock was set to.
  func checkRetries(of server: Server) {
    let bound = moment.instant.advanced(byMilliseconds: server.engine.limits.retryDelayMax)
    guard server.engine.store.count(of: .scheduled) > 0 else { return }
    if let due = server.engine.deadlines.next, due > bound { fail("a retry waits for too long") }
  }

  /// Once nothing is due, retention is exact.
  func checkRetention(of server: Server) {
    let (store, limits) = (server.engine.store, server.engine.limits)
    if store.finishedCount > limits.retentionJobsMax { fail("too many final jobs are kept") }
    if store.finishedBytes > limits.retentionBytesMax { fail("too many bytes are kept") }
    // No job gets older by a leap of the wall clock.
    let age = limits.retentionAge + (life?.leapt ?? 0)
    if let oldest = store.oldestFinishedAt, moment.timestamp - oldest >= age {
      fail("a final job is kept for too long")
    }
  }
}

extension Wish {
  /// Whether it submits this.
  func submits(_ ticket: Ticket) -> Bool {
    switch self {
    case .submit(let other, _), .submitOther(let other): other === ticket
    case .submitMany(let many, _): many.contains { $0 === ticket }
    default: false
    }
  }
}
