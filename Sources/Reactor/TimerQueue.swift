/// Payloads by deadline: a binary heap whose entries know where they are, so that any of them can
/// be cancelled.
///
/// Most timers of a server are cancelled (the request came, the job ended), so cancelling removes
/// at once instead of leaving a mark behind: memory is bounded by the timers that are pending, and
/// `nextDeadline` never wakes the loop for one that is gone. The price is one write per move in
/// the heap, to the slot that remembers the position.
///
/// A pure value. Scheduling, rescheduling and cancelling cost O(log n), the next deadline O(1).
/// Deadlines are nanoseconds on whatever clock the caller keeps; equal deadlines expire in the
/// order in which they were scheduled.
public struct TimerQueue<Payload> {
  /// Names one scheduled timer for as long as it is pending, and nothing afterwards: a handle that
  /// is kept too long finds nothing, never another timer (not before 2^32 timers used its slot).
  public struct Handle: Hashable, Sendable {
    @usableFromInline let slot: UInt32
    @usableFromInline let generation: UInt32

    @inlinable
    init(slot: UInt32, generation: UInt32) {
      self.slot = slot
      self.generation = generation
    }
  }

  /// What the heap is ordered by, and where the rest is.
  @usableFromInline
  struct Entry {
    @usableFromInline var deadline: UInt64
    /// Grows with every schedule: decides between equal deadlines.
    @usableFromInline var sequence: UInt64
    @usableFromInline var slot: UInt32

    @inlinable
    init(deadline: UInt64, sequence: UInt64, slot: UInt32) {
      self.deadline = deadline
      self.sequence = sequence
      self.slot = slot
    }

    @inlinable
    func isBefore(_ other: Entry) -> Bool {
      deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence
    }
  }

  /// Where an entry is now, and its payload (nil: the slot is free).
  @usableFromInline
  struct Slot {
    @usableFromInline var payload: Payload?
    @usableFromInline var position: UInt32
    @usableFromInline var generation: UInt32

    @inlinable
    init(payload: Payload?, position: UInt32) {
      self.payload = payload
      self.position = position
      generation = 0
    }
  }

  @usableFromInline var heap: [Entry] = []
  @usableFromInline var slots: [Slot] = []
  @usableFromInline var freeSlots: [UInt32] = []
  @usableFromInline var nextSequence: UInt64 = 0

  /// An empty queue.
  @inlinable
  public init() {}

  /// How many timers are pending.
  @inlinable
  public var count: Int { heap.count }

  /// Whether none is.
  @inlinable
  public var isEmpty: Bool { heap.isEmpty }

  /// The earliest deadline; nil when nothing is pending.
  @inlinable
  public var nextDeadline: UInt64? { heap.first?.deadline }

  /// Adds a timer that expires at `deadline` (which may have passed). At most 2^32 - 1 can be
  /// pending.
  @inlinable
  @discardableResult
  public mutating func schedule(_ payload: consuming Payload, at deadline: UInt64) -> Handle {
    let slot = takeSlot(payload)
    heap.append(Entry(deadline: deadline, sequence: takeSequence(), slot: slot))
    siftUp(from: heap.count - 1)
    return Handle(slot: slot, generation: slots[Int(slot)].generation)
  }

  /// Removes a timer. Nil when it is not pending any more: expired, or cancelled before.
  @inlinable
  @discardableResult
  public mutating func cancel(_ handle: Handle) -> Payload? {
    guard let position = position(of: handle) else { return nil }
    return remove(at: position)
  }

  /// What a pending timer carries; nil when it is not pending any more.
  @inlinable
  public subscript(_ handle: Handle) -> Payload? {
    position(of: handle) == nil ? nil : slots[Int(handle.slot)].payload
  }

  /// Replaces what a pending timer carries. False when it is not pending any more.
  @inlinable
  @discardableResult
  public mutating func replace(_ handle: Handle, with payload: Payload) -> Bool {
    guard position(of: handle) != nil else { return false }
    slots[Int(handle.slot)].payload = payload
    return true
  }

  /// Removes the earliest timer if its deadline is `now` or before, else answers nil.
  ///
  /// One a call, so that its caller can stop: a payload that schedules its successor in the past
  /// would otherwise never let go.
  @inlinable
  public mutating func popExpired(at now: UInt64) -> Payload? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    return remove(at: 0)
  }

  @inlinable
  func position(of handle: Handle) -> Int? {
    // A free slot has a generation that no handle has yet.
    guard handle.slot < slots.count, slots[Int(handle.slot)].generation == handle.generation
    else { return nil }
    return Int(slots[Int(handle.slot)].position)
  }

  @inlinable
  mutating func takeSequence() -> UInt64 {
    defer { nextSequence += 1 }
    return nextSequence
  }

  @inlinable
  mutating func takeSlot(_ payload: consuming Payload) -> UInt32 {
    if let slot = freeSlots.popLast() {
      slots[Int(slot)].payload = payload
      return slot
    }
    precondition(slots.count < UInt32.max, "too many timers")
    slots.append(Slot(payload: payload, position: 0))
    return UInt32(slots.count - 1)
  }

  @inlinable
  mutating func remove(at position: Int) -> Payload? {
    let slot = heap[position].slot
    let last = heap.removeLast()
    if position < heap.count {
      heap[position] = last
      restoreOrder(at: position)
    }
    slots[Int(slot)].generation &+= 1
    freeSlots.append(slot)
    return slots[Int(slot)].payload.take()
  }

  @inlinable
  mutating func restoreOrder(at position: Int) {
    if position > 0, heap[position].isBefore(heap[(position - 1) / 2]) {
      siftUp(from: position)
    } else {
      siftDown(from: position)
    }
  }

  @inlinable
  mutating func siftUp(from start: Int) {
    let entry = heap[start]
    var position = start
    while position > 0 {
      let parent = (position - 1) / 2
      if !entry.isBefore(heap[parent]) { break }
      place(heap[parent], at: position)
      position = parent
    }
    place(entry, at: position)
  }

  @inlinable
  mutating func siftDown(from start: Int) {
    let entry = heap[start]
    var position = start
    while true {
      var child = position * 2 + 1
      if child >= heap.count { break }
      if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      if !heap[child].isBefore(entry) { break }
      place(heap[child], at: position)
      position = child
    }
    place(entry, at: position)
  }

  @inlinable
  mutating func place(_ entry: Entry, at position: Int) {
    heap[position] = entry
    slots[Int(entry.slot)].position = UInt32(truncatingIfNeeded: position)
  }
}

extension TimerQueue: Sendable where Payload: Sendable {}
extension TimerQueue.Entry: Sendable {}
extension TimerQueue.Slot: Sendable where Payload: Sendable {}
