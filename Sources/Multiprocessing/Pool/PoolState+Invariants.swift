internal import DequeModule

extension PoolState {
  /// Stops the program if anything that must always hold does not. For tests and debug builds,
  /// after any event; O(workers + calls in flight).
  public func checkInvariants() {
    var seen = Set<UInt64>()
    for (index, worker) in workers.enumerated() {
      guard let worker else {
        precondition(freeIndices.contains(index), "a place is lost")
        continue
      }
      check(worker, at: index)
      for item in worker.inFlight {
        precondition(seen.insert(item.call).inserted, "call \(item.call) is in flight twice")
      }
    }
    for (number, slot) in slots.enumerated() { check(slot, number) }
    if isEnded {
      precondition(workers.allSatisfy { $0 == nil }, "an ended pool has workers")
      precondition(slots.allSatisfy(\.isGone), "an ended pool has slots")
    }
  }

  private func check(_ worker: PoolWorker, at index: Int) {
    precondition(worker.id.index == index, "a worker is in another's place")
    precondition(worker.inFlight.count <= settings.creditMax, "more calls in flight than credit")
    precondition(worker.phase != .starting || worker.inFlight.isEmpty, "a call before ready")
    precondition((1...settings.creditMax).contains(worker.credit), "credit out of bounds")
    if let most = settings.callsPerWorkerMax {
      precondition(worker.answered + worker.inFlight.count <= most, "more calls than a worker runs")
    }
    let ordinals = worker.inFlight.map(\.ordinal)
    precondition(zip(ordinals, ordinals.dropFirst()).allSatisfy(<), "ordinals out of order")
    precondition(ordinals.last ?? 0 <= worker.lastOrdinal, "an ordinal from the future")
    // Whoever is to go has a bound on it, unless it still works.
    if worker.phase == .terminated || (worker.phase == .leaving && worker.inFlight.isEmpty) {
      precondition(worker.deadline != nil, "an end without a deadline")
    }
  }

  private func check(_ slot: Slot, _ number: Int) {
    let own = workers.compactMap(\.self).filter { $0.slot == number }
    if let current = slot.worker {
      precondition(place(of: current) != nil, "a slot has a worker that is gone")
    }
    if slot.isGone { precondition(own.isEmpty && slot.worker == nil, "a slot gone has workers") }
    if slot.isRemoved || phase != .running {
      precondition(slot.credit == 0 && slot.startAt == nil, "a slot without use has credit")
    } else {
      // A slot is never forgotten: it has a worker, waits to start one, or waits for an end.
      let isWaiting = slot.startAt != nil || !own.isEmpty
      precondition(slot.worker != nil || isWaiting, "a slot is forgotten")
    }
    if slot.credit > 0 {
      precondition(
        slot.worker.flatMap { workers[$0.index] }?.phase == .ready, "credit without a worker")
    }
    let running = own.filter { $0.phase <= .ready || !$0.inFlight.isEmpty }
    precondition(running.count <= 1, "two workers of one slot have calls")
  }
}
