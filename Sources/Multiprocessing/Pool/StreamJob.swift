internal import DequeModule

/// A job whose chunks are handed on one by one: what `imap` makes.
final class StreamJob: PoolJob {
  /// What comes next.
  enum Next {
    case chunk(ChunkOutcome, items: Int)
    /// The input itself failed, behind all that came of it.
    case failed(any Error)
    case end
    /// It has not come yet.
    case later(Parker)
  }

  private struct State {
    /// Arrived, and not handed on: by chunk, and in the order of arrival.
    var outcomes: [Int: ChunkOutcome] = [:]
    var arrivals = Deque<Int>()
    /// How many items each chunk has that was not handed on.
    var sizes: [Int: Int] = [:]
    var submitted = 0
    var handedOn = 0
    var isInputAtEnd = false
    var inputError: (any Error)?
    var abandoned: (any Error)?
    var waiters: [Parker] = []
  }

  private let isOrdered: Bool
  private let state = Mutex(State())

  init(ordered: Bool) {
    isOrdered = ordered
  }

  // MARK: The pool's side

  func chunkEnded(_ chunk: Int, _ outcome: ChunkOutcome) -> Bool {
    change { state in
      guard state.abandoned == nil else { return }
      state.outcomes[chunk] = outcome
      if !isOrdered { state.arrivals.append(chunk) }
    }
    return false
  }

  /// Everything that has not arrived fails with `error`.
  func abandon(_ error: any Error) {
    change { state in
      guard state.abandoned == nil else { return }
      state.abandoned = error
      if !state.isInputAtEnd {
        state.isInputAtEnd = true
        state.inputError = error
      }
    }
  }

  // MARK: The iterator's side

  /// How many chunks were submitted and not handed on.
  var outstanding: Int { state.withLock { $0.submitted - $0.handedOn } }

  /// Another chunk is about to be submitted; answers its number, nil if the input has been ended.
  func willSubmit(items: Int) -> Int? {
    state.withLock { state in
      guard !state.isInputAtEnd else { return nil }
      state.sizes[state.submitted] = items
      defer { state.submitted += 1 }
      return state.submitted
    }
  }

  /// The input is at its end; with an error, if it failed.
  func endInput(_ error: (any Error)?) {
    change { state in
      guard !state.isInputAtEnd else { return }
      state.isInputAtEnd = true
      state.inputError = error
    }
  }

  /// Hands on what is next, or a parker that is woken when there may be something.
  func next() -> Next {
    state.withLock { state in
      let chunk = isOrdered ? state.handedOn : state.arrivals.first
      if let chunk, let outcome = state.outcomes.removeValue(forKey: chunk) {
        if !isOrdered { state.arrivals.removeFirst() }
        state.handedOn += 1
        return .chunk(outcome, items: state.sizes.removeValue(forKey: chunk) ?? 0)
      }
      if state.handedOn < state.submitted {
        if let error = state.abandoned {
          state.handedOn += 1
          return .chunk(.failed(error), items: 0)
        }
      } else if let error = state.inputError {
        state.inputError = nil
        return .failed(error)
      } else if state.isInputAtEnd {
        return .end
      }
      let parker = Parker()
      state.waiters.append(parker)
      return .later(parker)
    }
  }

  /// Nobody waits at `parker` any more.
  func forget(_ parker: Parker) {
    state.withLock { $0.waiters.removeAll { $0 === parker } }
  }

  private func change(_ body: (inout State) -> Void) {
    let waiters = state.withLock { state in
      body(&state)
      defer { state.waiters.removeAll() }
      return state.waiters
    }
    for waiter in waiters { waiter.unpark() }
  }
}
