/// Numbers of jobs by the hash of something that each job holds itself: an index without keys.
///
/// An entry is a word: the number, and 16 bits of the hash that spare nearly every look at a job
/// that is another one. So a million entries take some 16 MB, where a dictionary by id takes 67.
///
/// It grows and shrinks by shards, each of which holds some thousands of entries of a million and
/// is rebuilt within 0.1 ms, without hashing anything anew, while a dictionary of ids keeps its
/// caller for 150 ms when it comes to 800,000. More of them would be made anew so often that the
/// allocator feels it.
struct NumberTable: Sendable {
  /// More than any number in it: 40,000 jobs a second come this far in 200 years.
  static let numberLimit: JobNumber = 1 << 48

  private static let shardBits: UInt64 = 8
  /// Few enough for few jobs.
  fileprivate static let capacityMin = 16

  /// An open-addressing table with linear probing; an entry's home is given by its 16 bits.
  fileprivate struct Shard {
    /// As many as a power of two, or none; 0: free.
    var entries: ContiguousArray<UInt64> = []
    var count = 0
    /// One less than the places there are. Kept here, as to ask the array is a miss of the cache as
    /// dear as that of the entry itself.
    var mask = -1
  }

  /// Made with the first entry.
  private var shards: ContiguousArray<Shard> = []
  /// How many entries there are.
  private(set) var count = 0

  /// The number under `hash` for which `isMeant` answers true, if there is one; it is asked about
  /// those only whose hash is likely to be the same.
  @inline(__always)
  func find(_ hash: UInt64, where isMeant: (JobNumber) -> Bool) -> JobNumber? {
    guard count > 0 else { return nil }
    let index = NumberTable.shard(hash)
    let mask = shards[index].mask
    guard mask >= 0 else { return nil }
    return shards[index].entries.withUnsafeBufferPointer { entries in
      guard let entries = entries.baseAddress else { return nil }
      let tag = NumberTable.tag(hash)
      var place = Int(tag) & mask
      while entries[place] != 0 {
        let entry = entries[place]
        if entry >> 48 == tag, isMeant(entry & (NumberTable.numberLimit - 1)) {
          return entry & (NumberTable.numberLimit - 1)
        }
        place = (place + 1) & mask
      }
      return nil
    }
  }

  /// Adds a number, which is from 1 and below `numberLimit`; that it is not there is not checked.
  mutating func insert(_ hash: UInt64, _ number: JobNumber) {
    precondition(number > 0 && number < NumberTable.numberLimit, "job \(number) has no place here")
    if shards.isEmpty {
      shards = ContiguousArray(repeating: Shard(), count: 1 << Int(NumberTable.shardBits))
    }
    shards[NumberTable.shard(hash)].insert(NumberTable.tag(hash) << 48 | number)
    count += 1
  }

  /// Takes a number out that was added under `hash`; nothing happens if it is not there.
  mutating func remove(_ hash: UInt64, _ number: JobNumber) {
    guard count > 0 else { return }
    if shards[NumberTable.shard(hash)].remove(NumberTable.tag(hash) << 48 | number) { count -= 1 }
  }

  private static func shard(_ hash: UInt64) -> Int { Int(hash >> (64 - shardBits)) }
  private static func tag(_ hash: UInt64) -> UInt64 { hash & 0xFFFF }
}

extension NumberTable.Shard {
  mutating func insert(_ entry: UInt64) {
    if 4 * (count + 1) > 3 * entries.count {
      rebuild(capacity: max(2 * entries.count, NumberTable.capacityMin))
    }
    put(entry)
    count += 1
  }

  private mutating func put(_ entry: UInt64) {
    entries.withUnsafeMutableBufferPointer { NumberTable.Shard.put(entry, in: $0) }
  }

  @inline(__always)
  private static func put(_ entry: UInt64, in entries: UnsafeMutableBufferPointer<UInt64>) {
    var place = Int(entry >> 48) & (entries.count - 1)
    while entries[place] != 0 { place = (place + 1) & (entries.count - 1) }
    entries[place] = entry
  }

  mutating func remove(_ entry: UInt64) -> Bool {
    let isFound = entries.withUnsafeMutableBufferPointer { entries in
      guard !entries.isEmpty else { return false }
      let mask = entries.count - 1
      var hole = Int(entry >> 48) & mask
      while entries[hole] != entry {
        if entries[hole] == 0 { return false }
        hole = (hole + 1) & mask
      }
      // What follows moves up, unless the hole lies before its home: no mark is left behind.
      var place = (hole + 1) & mask
      while entries[place] != 0 {
        let home = Int(entries[place] >> 48) & mask
        if (place &- home) & mask >= (place &- hole) & mask {
          entries[hole] = entries[place]
          hole = place
        }
        place = (place + 1) & mask
      }
      entries[hole] = 0
      return true
    }
    guard isFound else { return false }
    count -= 1
    if count == 0 {
      entries = []
      mask = -1
    } else if 8 * count < entries.count, entries.count > NumberTable.capacityMin {
      rebuild(capacity: max(entries.count / 4, NumberTable.capacityMin))
    }
    return true
  }

  private mutating func rebuild(capacity: Int) {
    let old = entries
    entries = ContiguousArray(repeating: 0, count: capacity)
    mask = capacity - 1
    entries.withUnsafeMutableBufferPointer { entries in
      for entry in old where entry != 0 { NumberTable.Shard.put(entry, in: entries) }
    }
  }
}
