internal import CPlatform
import Glibc

/// A descriptor that several threads use and any of them may close.
///
/// Its number is given back to the system only when nobody uses it any more, so that no call can
/// meet a stranger under the same number. A call that waits does so on an event as well, by which
/// `close` ends the wait. Where nobody closes it by hand an `OwnedDescriptor` is enough. (To shut a
/// socket down would end it for every process that shares it.)
final class OpenDescriptor: Sendable {
  private struct State {
    let number: Int32
    /// Calls under way.
    var uses = 0
    var isClosed = false
    /// An eventfd, from the first wait on; -1 before.
    var event: Int32 = -1
    /// The process that made the event. A child that was forked off has one of its own: the
    /// parent's tells of the parent's `close`.
    var eventOwner: Int32 = 0
  }

  private let state: Mutex<State>

  /// Takes over `number`.
  init(_ number: Int32) {
    state = Mutex(State(number: number))
  }

  deinit { close() }

  /// The number, -1 when it is closed. To use it means to keep it open by `use`.
  var number: Int32 { state.withLock { $0.isClosed ? -1 : $0.number } }

  /// Whether it was closed.
  var isClosed: Bool { state.withLock(\.isClosed) }

  /// Closes it, and ends the waits of this process for it. The second time it does nothing.
  func close() {
    state.withLock { state in
      guard !state.isClosed else { return }
      state.isClosed = true
      if state.uses == 0 {
        Self.release(&state)
      } else if state.event >= 0, state.eventOwner == getpid() {
        lido_event_set(state.event)
      }
    }
  }

  /// Does `body` with the number, which stays open and this one's meanwhile. Throws `closed`.
  func use<Value>(
    _ body: (Int32) throws(ConnectionError) -> Value
  ) throws(ConnectionError) -> Value {
    let number = try begin()
    defer { end() }
    return try body(number)
  }

  /// Begins a use and answers the number; `end` ends it. Throws `closed`.
  func begin() throws(ConnectionError) -> Int32 {
    let number = state.withLock { state -> Int32 in
      guard !state.isClosed else { return -1 }
      state.uses += 1
      return state.number
    }
    guard number >= 0 else { throw ConnectionError(.closed) }
    return number
  }

  /// Ends a use.
  func end() {
    state.withLock { state in
      state.uses -= 1
      if state.uses == 0, state.isClosed { Self.release(&state) }
    }
  }

  /// Waits, within `use`, until the descriptor is ready for `events` (POLLIN, POLLOUT), hung up or
  /// failed; false when `deadline` came first. A signal does not end the wait. Throws `closed`, and
  /// `system` with EINVAL if the process may have fewer than two descriptors open.
  func wait(for events: Int32, until deadline: Deadline) throws(ConnectionError) -> Bool {
    let event = try waitEvent()
    let number = state.withLock(\.number)
    while true {
      let left = deadline.left.map { Int64(clamping: $0) } ?? -1
      let ready = lido_await(number, events, event, left)
      if ready & 2 != 0, ready > 0 { throw ConnectionError(.closed) }
      if ready > 0 { return true }
      if ready == 0, deadline.hasPassed { return false }
      if ready < 0, errno != EINTR, errno != ENOMEM {
        throw ConnectionError(.system(errno), "to wait for two descriptors (see RLIMIT_NOFILE)")
      }
    }
  }

  /// The event that `close` sets, for a wait within `use`; -1 if this process has one thread, and
  /// nobody can close it meanwhile. Throws `closed`.
  func waitEvent() throws(ConnectionError) -> Int32 {
    if lido_has_one_thread() != 0 { return -1 }
    let event: Int32? = state.withLock { state in
      guard !state.isClosed else { return nil }
      let process = getpid()
      if state.event < 0 || state.eventOwner != process {
        // The one that was inherited across fork(2) is the parent's; here it is but a number.
        if state.event >= 0 { Glibc.close(state.event) }
        state.event = lido_event()
        state.eventOwner = process
      }
      return state.event
    }
    guard let event else { throw ConnectionError(.closed) }
    guard event >= 0 else { throw ConnectionError(.system(errno), "an event to wait for") }
    return event
  }

  private static func release(_ state: inout State) {
    Glibc.close(state.number)
    if state.event >= 0 { Glibc.close(state.event) }
  }
}
