import Glibc
import JobCore

@testable import JobServer
@testable import Multiprocessing

/// Simulated pools that come, get larger and smaller, and go.
extension SimulatedPool {
  /// How many workers it has, busy or not.
  var workerCount: Int { slots.count { $0.hasWorker } }

  /// Whether it is being created, and not all of its workers were ready yet.
  var isBecomingWhole: Bool { configured.startsWhole && !hasBeenWhole }

  /// Whether the worker that would be ready now is the one that fails.
  var failsToStart: Bool {
    isBecomingWhole && startsBeforeFailure.map { workerCount >= $0 } ?? false
  }

  /// A worker is ready; it may be the last that its client waits for.
  func becomeWhole() {
    guard isBecomingWhole, slots.allSatisfy({ $0.hasWorker || $0.isRemoved }) else { return }
    hasBeenWhole = true
    events.append(.poolStarted(pool: id))
  }

  func resize(to processes: Int, at instant: Instant) {
    guard !isEnded, endsAt == nil, !isClosing else { return }
    let now = instant.nanoseconds
    world.note(processes > self.processes ? "pool grows" : "pool shrinks")
    self.processes = processes
    while slots.count < processes { slots.append(Slot(isRemoved: true)) }
    for slot in slots.indices where slots[slot].isRemoved == (slot < processes) {
      if slot < processes {
        // A worker that is about to leave does so first.
        slots[slot].isRemoved = false
        if !slots[slot].hasWorker { slots[slot].readyAt = now + milliseconds(chance.below(200)) }
      } else {
        remove(slot, at: now)
      }
    }
  }

  func close(at instant: Instant) {
    guard !isEnded else { return }
    isClosing = true
    for slot in slots.indices { remove(slot, at: instant.nanoseconds) }
    endIfClosed()
  }

  /// The worker of a slot ends once what it runs is over; what waits behind that comes back.
  private func remove(_ slot: Int, at now: UInt64) {
    slots[slot].isRemoved = true
    slots[slot].readyAt = nil
    guard slots[slot].hasWorker else { return }
    if slots[slot].credit > 0 { setCredit(slot, 0) }
    for held in slots[slot].held.dropFirst() {
      events.append(.callLost(held.assignment.call, .notStarted))
    }
    slots[slot].held = Array(slots[slot].held.prefix(1))
    leaveIfIdle(slot, at: now)
  }

  /// A worker that is not wanted any more, and has nothing to do, goes.
  func leaveIfIdle(_ slot: Int, at now: UInt64) {
    guard slots[slot].hasWorker, slots[slot].credit == 0, slots[slot].held.isEmpty,
      slots[slot].leavesAt == nil
    else { return }
    slots[slot].leavesAt = now + milliseconds(isPrompt ? 1 : chance.below(300))
  }

  /// The last worker of a pool that is closed is gone.
  func endIfClosed() {
    if isClosing, workerCount == 0 { tellEnd() }
  }
}
