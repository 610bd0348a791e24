/// Matching queued jobs with slots that have credit.
extension Engine {
  mutating func slotReady(
    _ slot: SlotID, _ credit: Int, _ pid: Int32, at moment: Moment, _ turn: inout Turn
  ) {
    pools[slot.pool].update(slot: slot.index) {
      $0.credit = credit
      $0.pid = pid
    }
    dispatch(pool: slot.pool, at: moment, &turn)
  }

  mutating func dispatchAll(at moment: Moment, _ turn: inout Turn) {
    for pool in pools.indices { dispatch(pool: pool, at: moment, &turn) }
  }

  /// Hands out queued jobs of one pool, oldest first, while a slot can take the next one.
  mutating func dispatch(pool: Int, at moment: Moment, _ turn: inout Turn) {
    guard pools[pool].freeCredit > 0, isWritable, !isDraining else { return }
    guard let name = store.names.find(pools[pool].name), Int(name.index) < ready.count else {
      return
    }
    let line = Int(name.index)
    while let number = nextQueued(in: line), let job = store[number] {
      let isShort = mean(of: job.task) <= Engine.shortCallMax
      guard let slot = chooseSlot(pool: pool, isShort: isShort) else { return }
      ready[line].removeFirst()
      lastCall += 1
      let call = Call(id: lastCall, job: number, isShort: isShort)
      emit(.attemptStarted(number, attempt: Int(job.attempt) + 1, at: moment.timestamp), &turn)
      let isRunning = pools[pool].update(slot: slot) { held in
        held.calls.append(call)
        if !isShort { held.longCount += 1 }
        return held.calls.count == 1
      }
      let slotID = SlotID(pool: pool, index: slot)
      turn.effects.append(.dispatch(call.id, number, slotID))
      turn.effects.append(.jobChanged(number))
      if isRunning { callBegan(call, slotID, at: moment, &turn) }
      guard pools[pool].freeCredit > 0 else { return }
    }
  }

  /// The first entry of a line that still holds; stale ones before it are dropped.
  private mutating func nextQueued(in line: Int) -> JobNumber? {
    while let number = ready[line].first {
      if store[number]?.state == .queued { return number }
      ready[line].removeStaleFirst()
    }
    return nil
  }

  /// An idle slot, or for a job that is short by experience the slot with the shortest line of
  /// short calls. Nothing ever waits in line behind a call that may take long.
  private func chooseSlot(pool: Int, isShort: Bool) -> Int? {
    var best: Int?
    var bestCount = Int.max
    let slots = pools[pool].slots
    for index in slots.indices {
      let count = slots[index].calls.count
      guard count < slots[index].credit, count < bestCount else { continue }
      if count == 0 { return index }
      if isShort, slots[index].longCount == 0 {
        best = index
        bestCount = count
      }
    }
    return best
  }

  /// The running time of a task's calls, smoothed; a task that never ended counts as long.
  func mean(of task: Name) -> UInt32 {
    Int(task.index) < meanMicroseconds.count ? meanMicroseconds[Int(task.index)] : .max
  }

  mutating func noteRunTime(_ microseconds: UInt32, task: Name) {
    while meanMicroseconds.count <= Int(task.index) { meanMicroseconds.append(.max) }
    let mean = meanMicroseconds[Int(task.index)]
    // A long call counts at once, so that the next job does not wait behind one like it.
    let isJump = mean == .max || microseconds > Engine.shortCallMax
    meanMicroseconds[Int(task.index)] = isJump ? microseconds : (mean * 7 + microseconds) / 8
  }

  /// A call came to the front of its slot: it runs now, and its time limit counts from here.
  mutating func callBegan(_ call: Call, _ slot: SlotID, at moment: Moment, _ turn: inout Turn) {
    if case .cancelled(let grace) = call.ending {
      turn.effects.append(.endCall(call.id, slot, grace: grace))
      return
    }
    if let timeout = store[call.job]?.options?.timeout {
      deadlines.insert(call.job, due: moment.instant.advanced(byMilliseconds: timeout))
    }
  }
}
